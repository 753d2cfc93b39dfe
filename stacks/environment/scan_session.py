"""Runs in the scan's build: writes what a scanner may ask to openapi.json, and prints a token to ask it with.

Only operations that read: a scan that writes would leave its rubbish in the database. The scan has a user of
its own, so that it uses up nobody else's rate limits; it registers itself when it is first needed, and its
password follows from the smoke tests' user's, which is given on standard input as its secret has it.

The standard library alone: nothing else is installed yet.
"""

import hashlib
import hmac
import http.client
import json
import os
import socket
import ssl
import sys
import time
from typing import Any

BALANCER, DOMAIN = os.environ["LOAD_BALANCER_DNS"], os.environ["DOMAIN"]
PORT = int(os.environ["TEST_LISTENER_PORT"])
SECONDS, TRIES, LONGEST_WAIT_SECONDS = 20, 3, 120


class Front(http.client.HTTPSConnection):
    """The balancer at its own address, asked under the service's name, whose certificate it has to show."""

    def connect(self) -> None:
        plain = socket.create_connection((BALANCER, PORT), SECONDS)
        self.sock = ssl.create_default_context().wrap_socket(plain, server_hostname=DOMAIN)


def ask(method: str, path: str, body: dict[str, str] | None = None) -> tuple[int, Any]:
    """The status and the JSON of the answer. Whom a rate limit refuses waits for its Retry-After."""
    for _ in range(TRIES):
        connection = Front(DOMAIN, PORT)
        headers = {"Content-Type": "application/json"} if body else {}
        connection.request(method, path, json.dumps(body) if body else None, headers)
        answer = connection.getresponse()
        content = answer.read()
        connection.close()
        if answer.status != http.client.TOO_MANY_REQUESTS:
            break
        wait = answer.headers.get("Retry-After", "")
        time.sleep(min(int(wait) if wait.isdecimal() else 1, LONGEST_WAIT_SECONDS))
    try:
        return answer.status, json.loads(content)
    except ValueError:
        return answer.status, {}


def readable() -> dict[str, Any]:
    """The service's OpenAPI document with what only reads left in it."""
    document: dict[str, Any]
    status, document = ask("GET", "/openapi.json")
    paths = document.get("paths") or {}
    document["paths"] = {
        path: {name: each for name, each in item.items() if name in ("get", "parameters")}
        for path, item in paths.items()
        if "get" in item
    }
    if not document["paths"]:
        sys.exit(
            f"/openapi.json was answered {status} with no operation that reads: there is nothing to scan"
        )
    document["servers"] = [{"url": f"https://{DOMAIN}:{PORT}"}]
    return document


def token() -> str:
    smoke = json.load(sys.stdin)
    password = hmac.new(smoke["password"].encode(), b"the web scan", hashlib.sha256).hexdigest()
    user = {"email": f"web-scan-for-{smoke['email']}", "password": password}
    status, answer = ask("POST", "/api/auth/login", user)
    if "access_token" not in answer:
        ask("POST", "/api/auth/register", user)
        status, answer = ask("POST", "/api/auth/login", user)
    if "access_token" not in answer:
        sys.exit(f"the web scan's user was answered {status} and got no token: registration may be closed")
    return str(answer["access_token"])


with open("openapi.json", "w", encoding="utf-8") as file:
    json.dump(readable(), file)
print(token())
