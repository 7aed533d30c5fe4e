"use strict";
// The entries of the guestbook, and what makes one acceptable.

const PER_PAGE = 10;
const NAME_MAX = 40;
const MESSAGE_MAX = 600;

// What a visitor sent, tidied; `problem` says in one sentence what is wrong with it.
function draft({ name = "", message = "" }) {
  const made = { name: String(name).trim(), message: String(message).replaceAll("\r", "").trim(), problem: "" };
  if (made.name === "") made.problem = "Please tell us your name.";
  else if (made.message === "") made.problem = "Please write a message.";
  else if ([...made.name].length > NAME_MAX) made.problem = `The name has more than ${NAME_MAX} characters.`;
  else if ([...made.message].length > MESSAGE_MAX) made.problem = `The message has more than ${MESSAGE_MAX} characters.`;
  return made;
}

class Entries {
  constructor(database) {
    this.insert = database.prepare("INSERT INTO entries (name, message, created_at) VALUES (?, ?, unixepoch())");
    this.select = database.prepare("SELECT id, name, message, created_at FROM entries ORDER BY id DESC LIMIT ? OFFSET ?");
    this.total = database.prepare("SELECT count(*) AS total FROM entries");
  }

  add({ name, message }) {
    return this.insert.run(name, message).lastInsertRowid;
  }

  count() {
    return this.total.get().total;
  }

  // The newest first; a number outside of the book is brought back into it.
  page(wanted) {
    const total = this.count();
    const pages = Math.max(1, Math.ceil(total / PER_PAGE));
    const number = Math.min(Math.max(1, Number.parseInt(wanted, 10) || 1), pages);
    return { total, pages, number, entries: this.select.all(PER_PAGE, (number - 1) * PER_PAGE) };
  }
}

module.exports = { Entries, draft };
