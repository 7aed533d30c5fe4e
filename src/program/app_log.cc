#include "program/app_log.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <ctime>

namespace terrace::program {
namespace {

constexpr Duration kLookInterval = std::chrono::seconds(1);

std::string time_text(WallTime time) {
  const auto since = time.time_since_epoch();
  const time_t seconds = std::chrono::duration_cast<std::chrono::seconds>(since).count();
  const int64_t milliseconds = std::chrono::duration_cast<std::chrono::milliseconds>(since).count() % 1000;
  tm parts{};
  ::gmtime_r(&seconds, &parts);
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z", parts.tm_year + 1900, parts.tm_mon + 1,
                     parts.tm_mday, parts.tm_hour, parts.tm_min, parts.tm_sec, milliseconds);
}

}  // namespace

Result<void> AppLog::open(const std::string& path) {
  path_ = path;
  return open_anew();
}

Result<void> AppLog::open_anew() {
  Descriptor file(::open(path_.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0640));
  if (!file) return fail_system("open");
  struct stat about{};
  ::fstat(file.get(), &about);
  bytes_ = about.st_size;
  file_ = std::move(file);
  return {};
}

// Somebody may have renamed the file: then a new one is begun.
void AppLog::follow_rotation() {
  if (clock_.now() - looked_ < kLookInterval) return;
  looked_ = clock_.now();
  struct stat named{};
  struct stat ours{};
  const bool same = ::stat(path_.c_str(), &named) == 0 && ::fstat(file_.get(), &ours) == 0 &&
                    named.st_ino == ours.st_ino && named.st_dev == ours.st_dev;
  if (!same) (void)open_anew();
}

void AppLog::append(const std::string& text) {
  follow_rotation();
  if (bytes_ > 0 && bytes_ + static_cast<int64_t>(text.size()) > kBytesMax) {
    ::rename(path_.c_str(), (path_ + ".1").c_str());
    (void)open_anew();
  }
  const ssize_t written = ::write(file_.get(), text.data(), text.size());
  bytes_ += std::max<ssize_t>(written, 0);
}

void AppLog::write(std::string_view name, const std::deque<std::string>& lines) {
  if (lines.empty()) return;
  const std::string prefix = fmt::format("{} {}: ", time_text(clock_.wall()), name);
  std::string text;
  for (const std::string& line : lines) {
    text += prefix;
    text += line;
    text += '\n';
  }
  append(text);
}

void AppLog::write(std::string_view name, std::string_view line) {
  write(name, std::deque<std::string>{std::string(line)});
}

std::deque<std::string> Lines::add(std::string_view bytes) {
  std::deque<std::string> lines;
  while (!bytes.empty()) {
    const size_t end = bytes.find('\n');
    const size_t room = kLineBytesMax - rest_.size();
    const size_t take = std::min({end, room, bytes.size()});
    rest_ += bytes.substr(0, take);
    bytes.remove_prefix(take);
    const bool ended = !bytes.empty() && bytes.front() == '\n';
    if (ended) bytes.remove_prefix(1);
    if (!ended && rest_.size() < kLineBytesMax) break;
    if (rest_.ends_with('\r')) rest_.pop_back();
    lines.push_back(std::exchange(rest_, {}));
  }
  return lines;
}

}  // namespace terrace::program
