#include "program/app_log.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/log.h"

namespace terrace::program {
namespace {

constexpr Duration kLookInterval = std::chrono::seconds(1);

}  // namespace

std::string name_in_log(std::string_view name, uint32_t release) {
  return release == 0 ? std::string(name) : fmt::format("{}@{}", name, release);
}

Result<void> AppLog::open(const std::string& path) {
  file_ = LogAppender(path);
  looked_ = clock_.now();
  return file_.open();
}

// Its rotation renames the file: then a new one is begun.
void AppLog::follow_rotation() {
  if (clock_.now() - looked_ < kLookInterval) return;
  looked_ = clock_.now();
  if (!file_.is_open() || file_.was_moved()) (void)file_.open();
}

void AppLog::append(const std::string& text, uint64_t lines) {
  follow_rotation();
  if (!say_what_was_lost()) {
    lost_ += lines;
    return;
  }
  errno = 0;
  const size_t taken = file_.append(text);
  if (taken == text.size()) return;
  lost_because_ = errno;
  lost_ += lines - static_cast<uint64_t>(
                       std::count(text.begin(), text.begin() + static_cast<ptrdiff_t>(taken), '\n'));
}

// False while the file takes nothing.
bool AppLog::say_what_was_lost() {
  if (lost_ == lost_and_said_) return true;
  const std::string text =
      fmt::format("{} terrace: warning: {} lines were lost: {}\n", log_time(clock_.wall()),
                  lost_ - lost_and_said_, ::strerrordesc_np(lost_because_));
  if (file_.append(text) != text.size()) return false;
  lost_and_said_ = lost_;
  return true;
}

void AppLog::write(std::string_view name, const std::deque<std::string>& lines) {
  if (lines.empty()) return;
  const std::string prefix = fmt::format("{} {}: ", log_time(clock_.wall()), name);
  std::string text;
  for (const std::string& line : lines) {
    text += prefix;
    text += line;
    text += '\n';
  }
  append(text, lines.size());
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
