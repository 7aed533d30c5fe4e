"use strict";
// A guestbook: an ordinary Express application that knows nothing of what runs it.
//
//   PORT          listens there on 127.0.0.1 (8000 without it)
//   DATABASE_URL  sqlite:///absolute/path
//
// SIGTERM: takes no new requests, finishes those that run, ends.

const express = require("express");
const { open } = require("./database");
const { Entries, draft } = require("./entries");
const { html, isoTime } = require("./pages");

const database = open();
const entries = new Entries(database);
const app = express();
app.disable("x-powered-by");
app.use(express.urlencoded({ extended: false, limit: "16kb" }));

// A form on another site can make a visitor's browser post here. Browsers say so.
function isFromElsewhere(request) {
  const site = request.get("Sec-Fetch-Site");
  return site !== undefined && site !== "same-origin" && site !== "none";
}

app.get("/", (request, response) => {
  response.set("Cache-Control", "no-cache").send(html(entries.page(request.query.page)));
});

// After a POST a redirect: reloading the page must not write the entry again.
app.post("/entries", (request, response) => {
  if (isFromElsewhere(request)) return response.status(403).type("text").send("This form was sent from another site.\n");
  const made = draft(request.body ?? {});
  if (made.problem) return response.status(422).send(html(entries.page(1), made));
  response.redirect(303, `/#entry-${entries.add(made)}`);
});

app.get("/api/entries", (request, response) => {
  const { entries: list, number, pages, total } = entries.page(request.query.page);
  const shown = list.map((entry) => ({ ...entry, created_at: isoTime(entry.created_at) }));
  response.json({ entries: shown, page: number, pages, total });
});

app.get("/up", (request, response) => {
  entries.count();
  response.type("text").send("up\n");
});

const server = app.listen(Number(process.env.PORT ?? 8000), "127.0.0.1");
// The proxy in front keeps its connections; one that is closed while idle could be in use again.
server.keepAliveTimeout = 75_000;
process.on("SIGTERM", () => {
  server.close(() => database.close());
  server.closeIdleConnections();
});
