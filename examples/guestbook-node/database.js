"use strict";
// The database that DATABASE_URL names: sqlite:///absolute/path. Without it, for
// trying the program alone, a file in this folder.

const Database = require("libsql");

function open() {
  const url = process.env.DATABASE_URL ?? "";
  const path = url.startsWith("sqlite:") ? url.replace(/^sqlite:\/*/, "/") : "guestbook.db";
  const database = new Database(path, { timeout: 5000 });
  // Readers never wait, also while another instance writes.
  database.exec("PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL");
  return database;
}

module.exports = { open };
