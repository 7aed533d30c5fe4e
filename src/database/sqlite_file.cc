#include "database/sqlite_file.h"

#include <sqlite3.h>

#include <cerrno>
#include <numeric>

namespace terrace::database {
namespace {

// Of the findings of an integrity check; one is enough to refuse.
constexpr size_t kFindingBytesMax = 400;

struct Finalize {
  void operator()(sqlite3_stmt* statement) const { ::sqlite3_finalize(statement); }
};
using Statement = std::unique_ptr<sqlite3_stmt, Finalize>;

Result<Statement> prepare(sqlite3* database, const std::string& sql) {
  sqlite3_stmt* made = nullptr;
  const int code = ::sqlite3_prepare_v2(database, sql.c_str(), -1, &made, nullptr);
  Statement statement(made);
  if (code != SQLITE_OK) return fail_sqlite("prepare", code);
  return statement;
}

std::string text_of(sqlite3_stmt* statement, int column) {
  const auto* text = reinterpret_cast<const char*>(::sqlite3_column_text(statement, column));
  return text == nullptr ? ""
                         : std::string(text, static_cast<size_t>(::sqlite3_column_bytes(statement, column)));
}

// Inside double quotes (https://sqlite.org/lang_keywords.html).
std::string quoted(const std::string& name) {
  std::string out = "\"";
  for (const char c : name) out += c == '"' ? std::string("\"\"") : std::string(1, c);
  return out + "\"";
}

// As a URI, so that the path may hold any byte (https://sqlite.org/uri.html).
std::string uri_of(const std::string& path, const char* parameters) {
  constexpr const char* kHex = "0123456789ABCDEF";
  std::string uri = "file:";
  for (const char c : path) {
    const auto byte = static_cast<unsigned char>(c);
    const bool plain = (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') ||
                       (byte >= '0' && byte <= '9') || c == '/' || c == '-' || c == '.' || c == '_';
    if (plain) {
      uri += c;
    } else {
      uri += {'%', kHex[byte >> 4], kHex[byte & 15]};
    }
  }
  return uri + parameters;
}

}  // namespace

int64_t Contents::row_count() const {
  return std::accumulate(rows.begin(), rows.end(), int64_t{0},
                         [](int64_t sum, const auto& table) { return sum + table.second; });
}

std::unexpected<Error> fail_sqlite(const char* place, int code) {
  const char* text = ::sqlite3_errstr(code);
  switch (code & 0xff) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      return fail(Code::kUnavailable, place, text);
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      return fail(Code::kInvalid, place, text);
    case SQLITE_FULL:
      return std::unexpected(Error{.code = Code::kSystem, .system = ENOSPC, .place = place, .text = ""});
    default:
      return fail(Code::kSystem, place, text);
  }
}

void SqliteFile::Close::operator()(sqlite3* database) const { ::sqlite3_close_v2(database); }

Result<SqliteFile> SqliteFile::open(const std::string& path, Use use, std::chrono::milliseconds patience) {
  const char* parameters = use == Use::kOwnCopy ? "?immutable=1&mode=ro" : "?mode=rw";
  if (use == Use::kScratch) parameters = "?mode=rwc";
  sqlite3* made = nullptr;
  const int code = ::sqlite3_open_v2(
      uri_of(path, parameters).c_str(), &made,
      SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_URI | SQLITE_OPEN_EXRESCODE, nullptr);
  SqliteFile file(made);
  const int system = made == nullptr ? 0 : ::sqlite3_system_errno(made);
  if (code != SQLITE_OK && system == ENOENT) return fail(Code::kNotFound, "open", "there is no database");
  if (code != SQLITE_OK && system != 0) return fail_system("open the database", system);
  if (code != SQLITE_OK) return fail_sqlite("open the database", code);
  ::sqlite3_busy_timeout(made, static_cast<int>(patience.count()));
  // The bytes of the file are not trusted more than anybody's (https://sqlite.org/security.html).
  ::sqlite3_db_config(made, SQLITE_DBCONFIG_DEFENSIVE, use == Use::kScratch ? 0 : 1, nullptr);
  ::sqlite3_db_config(made, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, nullptr);
  if (use == Use::kScratch) {
    if (const Result<void> off = file.run("PRAGMA journal_mode = OFF"); !off)
      return std::unexpected(off.error());
    if (const Result<void> off = file.run("PRAGMA synchronous = OFF"); !off)
      return std::unexpected(off.error());
    return file;
  }
  // Opening alone reads nothing.
  if (const Result<std::string> read = file.first_text("PRAGMA schema_version"); !read)
    return std::unexpected(read.error());
  return file;
}

Result<void> SqliteFile::run(const char* sql) {
  const int code = ::sqlite3_exec(database_.get(), sql, nullptr, nullptr, nullptr);
  if (code != SQLITE_OK) return fail_sqlite(sql, code);
  return {};
}

Result<std::string> SqliteFile::first_text(const char* sql) {
  const Result<Statement> statement = prepare(get(), sql);
  if (!statement) return std::unexpected(statement.error());
  const int code = ::sqlite3_step(statement->get());
  if (code == SQLITE_DONE) return "";
  if (code != SQLITE_ROW) return fail_sqlite(sql, code);
  return text_of(statement->get(), 0);
}

Result<void> SqliteFile::check_integrity(std::string& finding) {
  if (const Result<void> set = run("PRAGMA ignore_check_constraints = ON"); !set) return set;
  Result<std::string> said = first_text("PRAGMA integrity_check(1)");
  if (!said && said.error().code == Code::kSystem && said.error().system == 0)
    said = first_text("PRAGMA quick_check(1)");
  if (!said) {
    finding = describe(said.error());
    return std::unexpected(said.error());
  }
  if (*said == "ok") return {};
  finding = said->substr(0, kFindingBytesMax);
  return fail(Code::kInvalid, "integrity check", "the database is damaged");
}

Result<Contents> SqliteFile::contents() {
  Contents contents;
  // A table without pages of its own is virtual: its rows are in the tables behind it.
  const Result<Statement> schema =
      prepare(get(), "SELECT type, name, coalesce(sql, ''), rootpage FROM sqlite_master ORDER BY 1, 2");
  if (!schema) return std::unexpected(schema.error());
  int code = ::sqlite3_step(schema->get());
  for (; code == SQLITE_ROW; code = ::sqlite3_step(schema->get())) {
    const std::string type = text_of(schema->get(), 0);
    const std::string name = text_of(schema->get(), 1);
    contents.schema += type + ' ' + name + ' ' + text_of(schema->get(), 2) + '\n';
    if (type == "table" && ::sqlite3_column_int64(schema->get(), 3) != 0) contents.rows[name] = 0;
  }
  if (code != SQLITE_DONE) return fail_sqlite("read the schema", code);
  for (auto& [table, rows] : contents.rows) {
    const Result<Statement> count = prepare(get(), "SELECT count(*) FROM " + quoted(table));
    if (!count) return std::unexpected(count.error());
    code = ::sqlite3_step(count->get());
    if (code != SQLITE_ROW) return fail_sqlite("count rows", code);
    rows = ::sqlite3_column_int64(count->get(), 0);
  }
  return contents;
}

Result<bool> SqliteFile::has_wal() {
  const Result<std::string> mode = first_text("PRAGMA journal_mode");
  if (!mode) return std::unexpected(mode.error());
  return *mode == "wal";
}

Result<void> SqliteFile::begin_reading() {
  if (Result<void> begun = run("BEGIN"); !begun) return begun;
  // The transaction begins with its first read.
  const Result<std::string> read = first_text("SELECT count(*) FROM sqlite_master");
  if (!read) return std::unexpected(read.error());
  return {};
}

Result<void> SqliteFile::fold_wal() {
  int left = 0;
  const int code = ::sqlite3_wal_checkpoint_v2(get(), nullptr, SQLITE_CHECKPOINT_TRUNCATE, &left, nullptr);
  if (code != SQLITE_OK) return fail_sqlite("checkpoint", code);
  return {};
}

}  // namespace terrace::database
