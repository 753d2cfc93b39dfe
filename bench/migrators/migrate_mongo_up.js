// migrate-mongo's `up` through its API. For each line "DATABASE FOLDER" it migrates and says what came.
// With its lock switched on (by default it has none).
import readline from "node:readline";
import { config, database, up } from "migrate-mongo";

const url = process.argv[2];
const configure = (databaseName, migrationsDir) =>
  config.set({
    mongodb: { url, databaseName, options: {} },
    migrationsDir,
    changelogCollectionName: "changelog",
    lockCollectionName: "changelog_lock",
    lockTtl: 60,
    migrationFileExtension: ".mjs",
    useFileHash: false,
    moduleSystem: "esm",
  });
configure("admin", ".");
const { db: admin, client } = await database.connect();
await admin.command({ ping: 1 });
console.log("ready");
for await (const line of readline.createInterface({ input: process.stdin })) {
  const [name, folder] = line.split(" ");
  configure(name, folder);
  const began = performance.now();
  let error = null;
  try {
    await up(client.db(name), client);
  } catch (failure) {
    error = failure.message;
  }
  console.log(JSON.stringify({ seconds: (performance.now() - began) / 1000, error }));
}
process.exit(0);
