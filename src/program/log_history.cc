#include "program/log_history.h"

#include <sys/stat.h>

#include <algorithm>
#include <deque>
#include <iterator>
#include <utility>

namespace terrace::program {

Result<std::unique_ptr<LogReader>> open_part(const LogPart& part) {
  Result<std::unique_ptr<LogReader>> reader = LogReader::open(part.path);
  if (!reader && part.ours && !part.packed) reader = LogReader::open(part.path + std::string(kPackedSuffix));
  return reader;
}

LogHistory::LogHistory(std::string folder, std::string name, LogFilter filter)
    : folder_(std::move(folder)),
      name_(std::move(name)),
      path_(folder_ + "/" + name_ + ".log"),
      filter_(std::move(filter)),
      wanted_([this](std::string_view line) { return filter_.wants(name_, line); }),
      current_(path_) {}

// The file that is written is opened first: when it is rotated meanwhile, it is both
// open and among the parts, and is left out there.
Result<std::vector<LogPart>> LogHistory::open() {
  const Result<void> opened = current_.open();
  std::vector<LogPart> parts = log_parts(folder_, name_);
  if (!opened && (opened.error().code != Code::kNotFound || parts.empty()))
    return std::unexpected(opened.error());
  std::erase_if(parts, [this](const LogPart& part) { return current_.is_open_at(part.path); });
  return parts;
}

bool LogHistory::is_too_old(const LogPart& part) const {
  return part.ours && !filter_.since.empty() &&
         log_time(part.until + std::chrono::duration_cast<WallTime::duration>(kPartSlack)) < filter_.since;
}

std::vector<std::string> LogHistory::newest_of(const LogPart& part, size_t count) const {
  const Result<std::unique_ptr<LogReader>> reader = open_part(part);
  std::deque<std::string> lines;
  for (std::string line; reader && (*reader)->next(line);) {
    if (!wanted_(line)) continue;
    lines.push_back(std::move(line));
    if (lines.size() > count) lines.pop_front();
  }
  return {std::make_move_iterator(lines.begin()), std::make_move_iterator(lines.end())};
}

Result<std::vector<std::string>> LogHistory::newest(size_t count) {
  Result<std::vector<LogPart>> parts = open();
  if (!parts) return std::unexpected(parts.error());
  std::vector<std::string> lines = current_.newest(count, wanted_);
  for (; !parts->empty() && lines.size() < count && !is_too_old(parts->back()); parts->pop_back()) {
    std::vector<std::string> older = newest_of(parts->back(), count - lines.size());
    lines.insert(lines.begin(), std::make_move_iterator(older.begin()), std::make_move_iterator(older.end()));
  }
  return lines;
}

Result<void> LogHistory::begin() {
  Result<std::vector<LogPart>> parts = open();
  if (!parts) return std::unexpected(parts.error());
  parts_ = std::move(*parts);
  std::erase_if(parts_, [this](const LogPart& part) { return is_too_old(part); });
  std::ranges::reverse(parts_);
  return {};
}

bool LogHistory::next(std::string& line) {
  while (!at_current_) {
    while (reader_ && reader_->next(line)) {
      if (wanted_(line)) return true;
    }
    reader_.reset();
    if (parts_.empty()) {
      at_current_ = true;
      lines_ = current_.added(wanted_);
    } else if (Result<std::unique_ptr<LogReader>> reader = open_part(parts_.back())) {
      reader_ = std::move(*reader);
    }
    if (!parts_.empty()) parts_.pop_back();
  }
  if (next_line_ == lines_.size()) return false;
  line = std::move(lines_[next_line_++]);
  return true;
}

}  // namespace terrace::program
