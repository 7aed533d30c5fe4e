#include "entries.h"

#include <sqlite3.h>

#include <ctime>
#include <stdexcept>
#include <string_view>

namespace guestbook {
namespace {

constexpr int kBusyMilliseconds = 5000;
constexpr int kBusyPauseMilliseconds = 5;

[[noreturn]] void refuse(sqlite3* database, const char* doing) {
  throw std::runtime_error(std::string(doing) + ": " + sqlite3_errmsg(database));
}

void execute(sqlite3* database, const char* sql) {
  if (sqlite3_exec(database, sql, nullptr, nullptr, nullptr) != SQLITE_OK) refuse(database, sql);
}

// A prepared statement: values are bound, never written into the SQL.
class Statement {
 public:
  Statement(sqlite3* database, const char* sql) : database_(database) {
    if (sqlite3_prepare_v2(database, sql, -1, &statement_, nullptr) != SQLITE_OK) refuse(database, sql);
  }
  ~Statement() { sqlite3_finalize(statement_); }
  Statement(const Statement&) = delete;
  Statement& operator=(const Statement&) = delete;

  void bind(int at, const std::string& value) {
    sqlite3_bind_text(statement_, at, value.data(), static_cast<int>(value.size()), SQLITE_TRANSIENT);
  }
  void bind(int at, int64_t value) { sqlite3_bind_int64(statement_, at, value); }
  bool next() {
    const int result = sqlite3_step(statement_);
    if (result != SQLITE_ROW && result != SQLITE_DONE) refuse(database_, "step");
    return result == SQLITE_ROW;
  }
  int64_t number(int column) { return sqlite3_column_int64(statement_, column); }
  std::string text(int column) {
    const auto* bytes = reinterpret_cast<const char*>(sqlite3_column_text(statement_, column));
    return {bytes, static_cast<size_t>(sqlite3_column_bytes(statement_, column))};
  }

 private:
  sqlite3* database_;
  sqlite3_stmt* statement_ = nullptr;
};

// Write-ahead logging. Several instances start at once, and only one can change the
// mode; SQLite does not wait for the others there, whatever its busy timeout.
void enter_wal(sqlite3* database) {
  for (int waited = 0;; waited += kBusyPauseMilliseconds) {
    const int result = sqlite3_exec(database, "PRAGMA journal_mode = WAL", nullptr, nullptr, nullptr);
    if (result == SQLITE_OK) return;
    if (result != SQLITE_BUSY || waited >= kBusyMilliseconds) refuse(database, "PRAGMA journal_mode = WAL");
    sqlite3_sleep(kBusyPauseMilliseconds);
  }
}

// The length of the UTF-8 sequence that begins with this byte; 0 for none.
size_t sequence_length(unsigned char first) {
  if (first < 0x80) return 1;
  if (first >= 0xC2 && first < 0xE0) return 2;
  if (first >= 0xE0 && first < 0xF0) return 3;
  return first >= 0xF0 && first < 0xF5 ? 4 : 0;
}

// Characters of a UTF-8 text; npos when it is none, or has control characters
// other than a line feed.
size_t count_characters(std::string_view text) {
  size_t count = 0;
  for (size_t at = 0; at < text.size(); ++count) {
    const auto first = static_cast<unsigned char>(text[at]);
    const size_t length = sequence_length(first);
    if (length == 0 || at + length > text.size() || (first < 0x20 && first != '\n') || first == 0x7F)
      return std::string_view::npos;
    for (size_t i = 1; i < length; ++i) {
      if ((static_cast<unsigned char>(text[at + i]) & 0xC0) != 0x80) return std::string_view::npos;
    }
    at += length;
  }
  return count;
}

// Browsers send CRLF for the end of a line in a form.
std::string tidy(std::string_view text) {
  std::string kept;
  for (const char c : text) {
    if (c != '\r') kept += c == '\t' ? ' ' : c;
  }
  const size_t first = kept.find_first_not_of(" \n");
  if (first == std::string::npos) return "";
  return kept.substr(first, kept.find_last_not_of(" \n") - first + 1);
}

std::string find_problem(const Draft& draft) {
  const size_t name = count_characters(draft.name);
  const size_t message = count_characters(draft.message);
  if (name == std::string_view::npos || message == std::string_view::npos ||
      draft.name.find('\n') != std::string::npos)
    return "Please write plain text.";
  if (name == 0) return "Please tell us your name.";
  if (message == 0) return "Please write a message.";
  if (name > kNameMax) return "The name has more than 40 characters.";
  if (message > kMessageMax) return "The message has more than 600 characters.";
  return "";
}

}  // namespace

Draft make_draft(const std::string& name, const std::string& message) {
  Draft draft{.name = tidy(name), .message = tidy(message), .problem = ""};
  draft.problem = find_problem(draft);
  return draft;
}

std::string database_path(const std::string& url) {
  if (!url.starts_with("sqlite:/")) throw std::runtime_error("DATABASE_URL must begin with sqlite:///");
  const std::string path = url.substr(7);
  return path.substr(path.find_last_of('/', path.find_first_not_of('/')));
}

void Entries::Close::operator()(sqlite3* database) const { sqlite3_close(database); }

Entries::Entries(const std::string& path) {
  sqlite3* database = nullptr;
  const int opened = sqlite3_open(path.c_str(), &database);
  database_.reset(database);  // to be closed even when it could not be opened
  if (opened != SQLITE_OK) refuse(database, path.c_str());
  sqlite3_busy_timeout(database, kBusyMilliseconds);
  enter_wal(database);
  execute(database, "PRAGMA synchronous = NORMAL");
  execute(database,
          "CREATE TABLE IF NOT EXISTS entries ("
          " id INTEGER PRIMARY KEY AUTOINCREMENT,"
          " name TEXT NOT NULL, message TEXT NOT NULL, created_at INTEGER NOT NULL)");
}

Entry Entries::add(const Draft& draft) {
  Entry entry{.id = 0, .name = draft.name, .message = draft.message, .created_at = std::time(nullptr)};
  const std::lock_guard lock(mutex_);
  Statement insert(database_.get(), "INSERT INTO entries (name, message, created_at) VALUES (?, ?, ?)");
  insert.bind(1, entry.name);
  insert.bind(2, entry.message);
  insert.bind(3, entry.created_at);
  insert.next();
  entry.id = sqlite3_last_insert_rowid(database_.get());
  return entry;
}

std::vector<Entry> Entries::newest(int64_t count, int64_t skip) {
  const std::lock_guard lock(mutex_);
  Statement select(database_.get(),
                   "SELECT id, name, message, created_at FROM entries ORDER BY id DESC LIMIT ? OFFSET ?");
  select.bind(1, count);
  select.bind(2, skip);
  std::vector<Entry> entries;
  while (select.next()) {
    entries.push_back({.id = select.number(0),
                       .name = select.text(1),
                       .message = select.text(2),
                       .created_at = select.number(3)});
  }
  return entries;
}

int64_t Entries::count() {
  const std::lock_guard lock(mutex_);
  Statement select(database_.get(), "SELECT count(*) FROM entries");
  select.next();
  return select.number(0);
}

}  // namespace guestbook
