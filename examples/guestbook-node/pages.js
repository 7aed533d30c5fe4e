"use strict";
// The page of the book as HTML. What visitors wrote goes through escape(), always.

const ENTITIES = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;" };
const escape = (text) => text.replace(/[&<>"']/g, (letter) => ENTITIES[letter]);

const isoTime = (seconds) => new Date(seconds * 1000).toISOString().replace(".000", "");
const TIME = new Intl.DateTimeFormat("en-GB", {
  day: "2-digit", month: "long", year: "numeric", hour: "2-digit", minute: "2-digit", timeZone: "UTC",
});
const humanTime = (seconds) => TIME.format(new Date(seconds * 1000)).replace(" at ", ", ") + " UTC";

const entry = ({ id, name, message, created_at }) => `
      <article class="card" id="entry-${id}">
        <p class="message">${escape(message)}</p>
        <p class="by"><strong>${escape(name)}</strong> <time datetime="${isoTime(created_at)}">${humanTime(created_at)}</time></p>
      </article>`;

const pager = ({ number, pages }) => pages === 1 ? "" : `
    <nav class="pager" aria-label="Pages">
      ${number > 1 ? `<a rel="prev" href="/?page=${number - 1}">← Newer</a>` : ""}
      <span>Page ${number} of ${pages}</span>
      ${number < pages ? `<a rel="next" href="/?page=${number + 1}">Older →</a>` : ""}
    </nav>`;

const total = (count) => count === 1 ? "One message" : `${count || "No"} messages`;

// `page` of entries.js; `draft` is what a visitor must correct, or empty.
function html(page, draft = { name: "", message: "", problem: "" }) {
  return `<!doctype html>
<html lang="en">
<head>
  <meta charset="utf-8">
  <meta name="viewport" content="width=device-width, initial-scale=1">
  <meta name="color-scheme" content="light dark">
  <title>Guestbook</title>
  <link rel="icon" href="/logo.svg" type="image/svg+xml">
  <link rel="stylesheet" href="/style.css">
</head>
<body>
  <header class="masthead">
    <img src="/logo.svg" alt="" width="56" height="56">
    <div>
      <h1><a href="/">Guestbook</a></h1>
      <p>${total(page.total)} from people who passed by</p>
    </div>
  </header>
  <main>
    <form class="card" method="post" action="/entries">
      ${draft.problem && `<p class="problem" role="alert">${escape(draft.problem)}</p>`}
      <label for="name">Name</label>
      <input id="name" name="name" maxlength="40" autocomplete="name" required value="${escape(draft.name)}">
      <label for="message">Message</label>
      <textarea id="message" name="message" rows="4" maxlength="600" required>${escape(draft.message)}</textarea>
      <button type="submit">Sign the book</button>
    </form>
    <section class="entries" aria-label="Entries">${page.entries.map(entry).join("") ||
      '<p class="empty">Nobody has written yet. Be the first.</p>'}
    </section>${pager(page)}
  </main>
  <footer>
    <p>Made with Node. Also as <a href="/api/entries">JSON</a>.</p>
  </footer>
</body>
</html>
`;
}

module.exports = { html, isoTime };
