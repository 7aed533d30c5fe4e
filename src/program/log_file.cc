#include "program/log_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "program/log_history.h"
#include "program/log_parts.h"

namespace terrace::program {
namespace {

constexpr size_t kBlockBytes = 64 * 1024;

// Up to `bytes` bytes at `offset`; fewer at the end of the file or when it cannot be read.
std::string read_at(int file, off_t offset, size_t bytes) {
  std::string block(bytes, '\0');
  const ssize_t n = ::pread(file, block.data(), bytes, offset);
  block.resize(n < 0 ? 0 : static_cast<size_t>(n));
  return block;
}

off_t size_of(int file) {
  struct stat status{};
  return ::fstat(file, &status) == 0 ? status.st_size : 0;
}

// Where the last line that has an end ends.
off_t end_of_lines(int file) {
  off_t end = size_of(file);
  while (end > 0) {
    const off_t begin = std::max<off_t>(0, end - static_cast<off_t>(kBlockBytes));
    const std::string block = read_at(file, begin, static_cast<size_t>(end - begin));
    const size_t newline = block.rfind('\n');
    if (newline != std::string::npos) return begin + static_cast<off_t>(newline) + 1;
    end = begin;
  }
  return 0;
}

// Where the last line of `text` starts, whether or not it has an end.
size_t last_line_start(std::string_view text) {
  if (text.ends_with('\n')) text.remove_suffix(1);
  const size_t newline = text.rfind('\n');
  return newline == std::string_view::npos ? 0 : newline + 1;
}

// "app" of "/…/app.log".
std::string_view log_name(std::string_view path) {
  path.remove_prefix(std::min(path.size(), path.rfind('/') + 1));
  return path.substr(0, path.rfind(".log"));
}

std::string folder_of(const std::string& path) { return path.substr(0, path.rfind('/')); }

}  // namespace

Result<void> LogFile::open() {
  std::set<std::string, std::less<>> parts;
  for (const LogPart& part : log_parts(folder_of(path_), log_name(path_))) parts.emplace(part.stem());
  Descriptor file(::open(path_.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file)
    return errno == ENOENT || errno == ENOTDIR ? fail(Code::kNotFound, "open", "no such log")
                                               : fail_system("open");
  file_ = std::move(file);
  parts_ = std::move(parts);
  offset_ = 0;
  pending_.clear();
  return {};
}

bool LogFile::is_open_at(const std::string& path) const {
  struct stat named{};
  struct stat opened{};
  return file_ && ::stat(path.c_str(), &named) == 0 && ::fstat(file_.get(), &opened) == 0 &&
         named.st_ino == opened.st_ino && named.st_dev == opened.st_dev;
}

std::vector<std::string> LogFile::newest(size_t count, const Wanted& wanted) {
  if (!file_) return {};
  offset_ = end_of_lines(file_.get());
  std::vector<std::string> lines;  // newest first
  std::string text;                // read and not looked at yet
  off_t begin = offset_;           // of `text` in the file
  while (lines.size() < count && (begin > 0 || !text.empty())) {
    const size_t start = last_line_start(text);
    if (start == 0 && begin > 0 && text.size() < kLineBytesMax) {
      const off_t end = begin;
      begin = std::max<off_t>(0, end - static_cast<off_t>(kBlockBytes));
      text.insert(0, read_at(file_.get(), begin, static_cast<size_t>(end - begin)));
      continue;
    }
    std::string line = text.substr(start);
    if (line.ends_with('\n')) line.pop_back();
    text.resize(start);
    if (wanted(line)) lines.push_back(std::move(line));
  }
  std::ranges::reverse(lines);
  return lines;
}

std::vector<std::string> LogFile::added(const Wanted& wanted) {
  std::vector<std::string> lines;
  if (file_) read_to_end(lines, wanted);
  if (!file_ || was_replaced()) {
    // What its writer still put into the old file after our last look.
    if (file_) read_to_end(lines, wanted);
    if (file_) read_parts_between(lines, wanted);
    if (!open()) return lines;
    read_to_end(lines, wanted);
  }
  return lines;
}

void LogFile::read_parts_between(std::vector<std::string>& lines, const Wanted& wanted) {
  bool first = true;
  for (const LogPart& part : log_parts(folder_of(path_), log_name(path_))) {
    if (!part.ours || parts_.contains(part.stem())) continue;
    // The first one is our own file, which is compressed by now or has another name.
    const bool own = std::exchange(first, false) && (part.packed || is_open_at(part.path));
    if (own) continue;
    const Result<std::unique_ptr<LogReader>> reader = open_part(part);
    for (std::string line; reader && (*reader)->next(line);) {
      if (wanted(line)) lines.push_back(std::move(line));
    }
  }
}

// Moved away and not begun anew yet is no replacement: what follows still comes there.
bool LogFile::was_replaced() const {
  struct stat now{};
  return ::stat(path_.c_str(), &now) == 0 && !is_open_at(path_);
}

void LogFile::read_to_end(std::vector<std::string>& lines, const Wanted& wanted) {
  if (size_of(file_.get()) < offset_) {
    offset_ = 0;
    pending_.clear();
  }
  while (true) {
    const std::string block = read_at(file_.get(), offset_, kBlockBytes);
    if (block.empty()) return;
    offset_ += static_cast<off_t>(block.size());
    pending_ += block;
    take_lines(lines, wanted);
  }
}

void LogFile::take_lines(std::vector<std::string>& lines, const Wanted& wanted) {
  size_t begin = 0;
  for (size_t end = 0; (end = pending_.find('\n', begin)) != std::string::npos; begin = end + 1) {
    std::string line = pending_.substr(begin, end - begin);
    if (wanted(line)) lines.push_back(std::move(line));
  }
  pending_.erase(0, begin);
  if (pending_.size() > kLineBytesMax) {
    if (wanted(pending_)) lines.push_back(pending_);
    pending_.clear();
  }
}

}  // namespace terrace::program
