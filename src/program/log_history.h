#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "program/log_file.h"
#include "program/log_filter.h"
#include "program/log_packing.h"
#include "program/log_parts.h"

namespace terrace::program {

// The lines of one log that a person wants to see, over all its files: those that
// were rotated, compressed or not, and the one that is written. For the command
// line: it blocks on files.
class LogHistory {
 public:
  LogHistory(std::string folder, std::string name, LogFilter filter);

  const std::string& name() const { return name_; }
  const std::string& path() const { return path_; }

  // The newest `count` lines, oldest first. kNotFound when there is no file at all.
  Result<std::vector<std::string>> newest(size_t count);

  // Or all of them, one by one, oldest first.
  Result<void> begin();
  bool next(std::string& line);

  // After one of these: what was added since the last call.
  std::vector<std::string> added() { return current_.added(wanted_); }

 private:
  // The files before the one that is written now, oldest first.
  Result<std::vector<LogPart>> open();
  std::vector<std::string> newest_of(const LogPart& part, size_t count) const;
  bool is_too_old(const LogPart& part) const;

  std::string folder_;
  std::string name_;
  std::string path_;
  LogFilter filter_;
  LogFile::Wanted wanted_;
  LogFile current_;
  // For begin() and next().
  std::vector<LogPart> parts_;  // newest first
  std::unique_ptr<LogReader> reader_;
  bool at_current_ = false;
  std::vector<std::string> lines_;  // of the file that is written
  size_t next_line_ = 0;
};

// The file of a part, compressed meanwhile or not.
Result<std::unique_ptr<LogReader>> open_part(const LogPart& part);

}  // namespace terrace::program
