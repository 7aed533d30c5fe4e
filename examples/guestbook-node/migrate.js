"use strict";
// Brings the database up to this version of the program: runs the files of
// migrations/ that it has not seen, in order, each in a transaction of its own.
// How many it has seen is kept in the database itself.

const { readdirSync, readFileSync } = require("node:fs");
const { join } = require("node:path");
const { open } = require("./database");

const folder = join(__dirname, "migrations");
const files = readdirSync(folder).filter((name) => name.endsWith(".sql")).sort();
const database = open();
const { user_version: seen } = database.prepare("PRAGMA user_version").get();
for (let number = seen; number < files.length; ++number) {
  console.log(`migration ${files[number]}`);
  const sql = readFileSync(join(folder, files[number]), "utf8");
  database.exec(`BEGIN IMMEDIATE; ${sql}; PRAGMA user_version = ${number + 1}; COMMIT`);
}
database.close();
