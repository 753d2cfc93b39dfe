"""pymongo-migrate through its API. For each line "DATABASE FOLDER" it migrates and says what came."""

import json
import sys
import time

import pymongo
from pymongo_migrate.mongo_migrate import MongoMigrate

client: pymongo.MongoClient[dict[str, object]] = pymongo.MongoClient(sys.argv[1])
client.admin.command("ping")
print("ready", flush=True)
for line in sys.stdin:
    database, folder = line.split()
    began = time.perf_counter()
    error = None
    try:
        MongoMigrate(client, database, folder).migrate()
    except Exception as failure:
        error = f"{type(failure).__name__}: {failure}"
    print(json.dumps({"seconds": time.perf_counter() - began, "error": error}), flush=True)
