#include <fcntl.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <string.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <ctime>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "certificates/hex.h"
#include "program/commands.h"
#include "program/control_client.h"
#include "program/json_value.h"
#include "program/member_client.h"
#include "program/output.h"
#include "program/secrets.h"
#include "program/site_path.h"
#include "program/table.h"

// secret set, list and remove: on the files themselves, so that a site can be given
// its secrets before it runs.

namespace terrace::program {
namespace {

using Json = nlohmann::ordered_json;

constexpr char kInterrupt = 3;
constexpr char kEndOfInput = 4;
constexpr char kErase[] = {8, 127};
constexpr char kEraseAll = 21;  // Ctrl-U

// A terminal that shows nothing of what is typed, for as long as this lives. It does
// not turn Ctrl-C into a signal either: that would leave the terminal as it is now.
class QuietTerminal {
 public:
  explicit QuietTerminal(int terminal) : terminal_(terminal) {
    if (::tcgetattr(terminal, &before_) != 0) return;
    termios quiet = before_;
    quiet.c_lflag &= ~static_cast<tcflag_t>(ECHO | ISIG | ICANON);
    quiet.c_cc[VMIN] = 1;
    quiet.c_cc[VTIME] = 0;
    changed_ = ::tcsetattr(terminal, TCSAFLUSH, &quiet) == 0;
  }
  ~QuietTerminal() {
    if (changed_) ::tcsetattr(terminal_, TCSAFLUSH, &before_);
  }
  QuietTerminal(const QuietTerminal&) = delete;
  QuietTerminal& operator=(const QuietTerminal&) = delete;
  bool changed() const { return changed_; }

 private:
  int terminal_;
  termios before_{};
  bool changed_ = false;
};

// The last character, of UTF-8 with all its bytes.
void erase_last(std::string& value) {
  while (value.size() > 1 && (static_cast<unsigned char>(value.back()) & 0xc0) == 0x80) value.pop_back();
  if (!value.empty()) value.pop_back();
}

// One line; nothing when it was broken off.
std::optional<std::string> ask_terminal(const std::string& name) {
  const QuietTerminal terminal(STDIN_FILENO);
  if (!terminal.changed()) return std::nullopt;
  fmt::print(stderr, "{} (is not shown): ", name);
  std::string value;
  char c = 0;
  while (value.size() <= kSecretBytesMax && ::read(STDIN_FILENO, &c, 1) == 1) {
    if (c == '\n' || c == '\r' || c == kEndOfInput) break;
    if (c == kInterrupt) {
      value.clear();
      break;
    }
    if (c == kErase[0] || c == kErase[1]) {
      erase_last(value);
    } else if (c == kEraseAll) {
      value.clear();
    } else {
      value += c;
    }
  }
  fmt::print(stderr, "\n");
  if (c == kInterrupt) return std::nullopt;
  return value;
}

// All of it, without the line end that `echo` and editors add.
std::optional<std::string> read_input() {
  std::string value;
  char block[4096];
  // Two bytes more for that line end, one to notice that it is too long.
  while (value.size() <= kSecretBytesMax + 2) {
    const ssize_t n = ::read(STDIN_FILENO, block, sizeof block);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return std::nullopt;
    if (n == 0) break;
    value.append(block, static_cast<size_t>(n));
  }
  ::explicit_bzero(block, sizeof block);
  if (value.ends_with('\n')) value.pop_back();
  if (value.ends_with('\r')) value.pop_back();
  return value;
}

// Who runs the site, if it is somebody else: the secrets would not be his.
std::optional<uid_t> other_runner(const Folders& folders) {
  struct stat about{};
  if (::stat(pid_file(folders).c_str(), &about) != 0 || about.st_uid == ::geteuid()) return std::nullopt;
  return about.st_uid;
}

bool is_running(const Folders& folders) {
  const int file = ::open(pid_file(folders).c_str(), O_RDONLY | O_CLOEXEC);
  char digit = 0;
  const bool running = file >= 0 && ::read(file, &digit, 1) == 1;
  if (file >= 0) ::close(file);
  return running;
}

std::string reason(const Error& error) {
  if (error.system == EACCES) return "only the user that runs the site may do that: root, perhaps";
  return error.system != 0 ? ::strerrordesc_np(error.system) : error.text;
}

int done(const CommandLine& line, const Folders& folders, std::string_view what) {
  const bool running = is_running(folders);
  if (line.json) {
    print(Json{{"ok", true}, {"name", line.name}, {"running", running}}.dump() + "\n");
  } else {
    print(fmt::format(
        "{} is {}; {}\n", line.name, what,
        running ? "the running site takes that with `terrace reload`" : "the site reads it when it starts"));
  }
  return kExitFine;
}

// On a server of several: for all of them that run the application.
int change_everywhere(const CommandLine& line, const std::optional<std::string>& value) {
  Json question = {{"command", "change-secret"}, {"name", line.name}};
  if (value) {
    const std::vector<uint8_t> bytes(value->begin(), value->end());
    question["value_hex"] = certificates::hex_of(bytes);
  }
  int status = kExitFine;
  const std::optional<std::string> answer = ask_member(line, question.dump(), status);
  if (!answer) return status;
  if (line.json) return print(*answer + "\n"), kExitFine;
  const auto behind = value_of<std::vector<std::string>>(Json::parse(*answer, nullptr, false), "behind");
  print(fmt::format(
      "{} is {} on every server that runs the application; the site takes that with `terrace reload` there\n",
      line.name, value ? "set" : "removed"));
  if (!behind.empty())
    print(printable(fmt::format("not yet on {}: they fetch it when they are back", fmt::join(behind, ", "))) +
          "\n");
  return kExitFine;
}

int set(const CommandLine& line, const Folders& folders, bool everywhere) {
  std::optional<std::string> value = ::isatty(STDIN_FILENO) == 1 ? ask_terminal(line.name) : read_input();
  if (!value) return complain("no value was given: nothing is changed", line.json, kExitFailure);
  const std::string wrong = wrong_with_secret(*value);
  if (!wrong.empty())
    return complain(fmt::format("the value is refused: {}", wrong), line.json, kExitFailure);
  if (everywhere) return change_everywhere(line, value);
  const Result<void> written = SecretFolder(secrets_folder(folders)).set(line.name, *value);
  ::explicit_bzero(value->data(), value->size());
  if (!written)
    return complain(fmt::format("{} is not set: {}", line.name, reason(written.error())), line.json,
                    kExitFailure);
  return done(line, folders, "set");
}

int remove(const CommandLine& line, const Folders& folders) {
  const Result<void> removed = SecretFolder(secrets_folder(folders)).remove(line.name);
  if (removed) return done(line, folders, "removed");
  const bool absent = removed.error().code == Code::kNotFound;
  return complain(absent ? fmt::format("there is no secret {}", line.name)
                         : fmt::format("{} is not removed: {}", line.name, reason(removed.error())),
                  line.json, kExitFailure);
}

std::string time_text(std::chrono::system_clock::time_point time) {
  const std::time_t seconds = std::chrono::system_clock::to_time_t(time);
  std::tm parts{};
  ::gmtime_r(&seconds, &parts);
  char text[32];
  return {text, std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts)};
}

int list(const CommandLine& line, const Folders& folders) {
  const auto entries = SecretFolder(secrets_folder(folders)).list();
  if (!entries)
    return complain(fmt::format("the secrets cannot be listed: {}", reason(entries.error())), line.json,
                    kExitCannotRead);
  Json secrets = Json::array();
  for (const SecretEntry& entry : *entries) {
    const std::string changed = time_text(entry.changed);
    if (line.json)
      secrets.push_back({{"name", entry.name}, {"changed", changed}});
    else
      print(fmt::format("{}  {}\n", changed, entry.name));
  }
  if (line.json) print(Json{{"ok", true}, {"secrets", secrets}}.dump() + "\n");
  return kExitFine;
}

}  // namespace

int run_secret(const CommandLine& line) {
  const std::optional<std::string> site = find_site(line.file);
  if (!site) return complain(no_site_text(line.file), line.json, kExitCannotRead);
  const Folders folders = find_folders(*site);
  if (const auto runner = other_runner(folders); runner && line.what != "list")
    return complain(fmt::format("the site runs as {}: only that user can change its secrets",
                                *runner == 0 ? "root" : fmt::format("user {}", *runner)),
                    line.json, kExitFailure);
  const bool everywhere = line.what != "list" && find_member(*site);
  if (line.what == "set") return set(line, folders, everywhere);
  if (everywhere) return change_everywhere(line, std::nullopt);
  return line.what == "remove" ? remove(line, folders) : list(line, folders);
}

}  // namespace terrace::program
