#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

struct sqlite3;

namespace guestbook {

struct Entry {
  int64_t id = 0;
  std::string name;
  std::string message;
  int64_t created_at = 0;  // seconds since 1970, UTC
};

// Limits in characters (not bytes), so that a form with nothing but emoji still
// fits the 8 KiB that httplib takes.
constexpr size_t kNameMax = 40;
constexpr size_t kMessageMax = 600;

// What a visitor sent, without white space around it; `problem` says in one
// sentence what is wrong with it, or is empty.
struct Draft {
  std::string name;
  std::string message;
  std::string problem;
};
Draft make_draft(const std::string& name, const std::string& message);

// The path of "sqlite:///var/lib/x.db", also with two slashes more or fewer, as
// frameworks disagree; throws std::runtime_error for another scheme.
std::string database_path(const std::string& url);

// The entries in a SQLite database. Several processes may share the file: it is
// in WAL mode, where readers never wait, and a writer waits for another one up to
// five seconds. Thread-safe; every function throws std::runtime_error when the
// database refuses.
class Entries {
 public:
  explicit Entries(const std::string& path);

  Entry add(const Draft& draft);
  // The newest first: `count` of them, after the first `skip`.
  std::vector<Entry> newest(int64_t count, int64_t skip);
  int64_t count();

 private:
  struct Close {
    void operator()(sqlite3* database) const;
  };
  std::mutex mutex_;
  std::unique_ptr<sqlite3, Close> database_;
};

}  // namespace guestbook
