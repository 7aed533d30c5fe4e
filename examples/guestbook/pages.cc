#include "pages.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <nlohmann/json.hpp>

namespace guestbook {
namespace {

// Text of the visitors goes in by named arguments that are escaped below.
constexpr std::string_view kPage = R"(<!doctype html>
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
      <p>{total} from people who passed by</p>
    </div>
  </header>
  <main>
    <form class="card" method="post" action="/entries">
      {problem}<label for="name">Name</label>
      <input id="name" name="name" maxlength="40" autocomplete="name" required value="{name}">
      <label for="message">Message</label>
      <textarea id="message" name="message" rows="4" maxlength="600" required>{message}</textarea>
      <button type="submit">Sign the book</button>
    </form>
    <section class="entries" aria-label="Entries">
{entries}    </section>
{pager}  </main>
  <footer>
    <p>Also as <a href="/api/entries">JSON</a>.</p>
  </footer>
</body>
</html>
)";

std::string time_text(int64_t seconds, bool machine) {
  const std::tm utc = fmt::gmtime(static_cast<std::time_t>(seconds));
  return machine ? fmt::format("{:%Y-%m-%dT%H:%M:%SZ}", utc) : fmt::format("{:%d %B %Y, %H:%M} UTC", utc);
}

// Lines of the message stay lines by `white-space: pre-line` in the style sheet.
std::string entry_html(const Entry& entry) {
  return fmt::format(
      R"(      <article class="card" id="entry-{id}">
        <p class="message">{message}</p>
        <p class="by"><strong>{name}</strong> <time datetime="{machine}">{human}</time></p>
      </article>
)",
      fmt::arg("id", entry.id), fmt::arg("message", escape(entry.message)),
      fmt::arg("name", escape(entry.name)), fmt::arg("machine", time_text(entry.created_at, true)),
      fmt::arg("human", time_text(entry.created_at, false)));
}

std::string entries_html(const std::vector<Entry>& entries) {
  if (entries.empty()) return "      <p class=\"empty\">Nobody has written yet. Be the first.</p>\n";
  std::string text;
  for (const Entry& entry : entries) text += entry_html(entry);
  return text;
}

std::string pager_html(const Page& page) {
  if (page.pages <= 1) return "";
  std::string text = "    <nav class=\"pager\" aria-label=\"Pages\">\n";
  if (page.number > 1)
    text += fmt::format("      <a rel=\"prev\" href=\"/?page={}\">← Newer</a>\n", page.number - 1);
  text += fmt::format("      <span>Page {} of {}</span>\n", page.number, page.pages);
  if (page.number < page.pages)
    text += fmt::format("      <a rel=\"next\" href=\"/?page={}\">Older →</a>\n", page.number + 1);
  return text + "    </nav>\n";
}

std::string problem_html(const std::string& problem) {
  if (problem.empty()) return "";
  return fmt::format("<p class=\"problem\" role=\"alert\">{}</p>\n      ", escape(problem));
}

std::string total_text(int64_t total) {
  return total == 1 ? "One message" : fmt::format("{} messages", total == 0 ? "No" : std::to_string(total));
}

nlohmann::ordered_json entry_json(const Entry& entry) {
  return {{"id", entry.id},
          {"name", entry.name},
          {"message", entry.message},
          {"created_at", time_text(entry.created_at, true)}};
}

}  // namespace

std::string escape(std::string_view text) {
  std::string escaped;
  escaped.reserve(text.size());
  for (const char c : text) {
    switch (c) {
      case '&':
        escaped += "&amp;";
        break;
      case '<':
        escaped += "&lt;";
        break;
      case '>':
        escaped += "&gt;";
        break;
      case '"':
        escaped += "&quot;";
        break;
      case '\'':
        escaped += "&#39;";
        break;
      default:
        escaped += c;
    }
  }
  return escaped;
}

std::string html(const Page& page) {
  return fmt::format(
      kPage, fmt::arg("total", total_text(page.total)), fmt::arg("problem", problem_html(page.draft.problem)),
      fmt::arg("name", escape(page.draft.name)), fmt::arg("message", escape(page.draft.message)),
      fmt::arg("entries", entries_html(page.entries)), fmt::arg("pager", pager_html(page)));
}

std::string json(const Entry& entry) { return entry_json(entry).dump(); }

std::string json(const Page& page) {
  nlohmann::ordered_json entries = nlohmann::ordered_json::array();
  for (const Entry& entry : page.entries) entries.push_back(entry_json(entry));
  const nlohmann::ordered_json whole = {
      {"entries", entries}, {"page", page.number}, {"pages", page.pages}, {"total", page.total}};
  return whole.dump() + "\n";
}

}  // namespace guestbook
