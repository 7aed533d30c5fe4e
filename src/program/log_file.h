#pragma once

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/descriptor.h"
#include "base/result.h"

namespace terrace::program {

// Reads a log that others write: its newest lines, then what is added, also after
// the file was renamed and begun anew, or cut to nothing, by rotation; and what was
// rotated away, and compressed even, between two looks. A line counts once its end is
// there. For the command line: it blocks on files.
class LogFile {
 public:
  using Wanted = std::function<bool(std::string_view line)>;

  // A longer line is given in pieces.
  static constexpr size_t kLineBytesMax = 1 << 20;

  explicit LogFile(std::string path) : path_(std::move(path)) {}

  // From the start of the file that is there now; kNotFound when there is none.
  Result<void> open();
  bool is_open_at(const std::string& path) const;

  // The newest `count` lines that are wanted, oldest first. From here on added() gives
  // what follows.
  std::vector<std::string> newest(size_t count, const Wanted& wanted);

  // Lines since the last call, or since open(); none while there is no file.
  std::vector<std::string> added(const Wanted& wanted);

 private:
  // Whether the path names another file than the one that is open.
  bool was_replaced() const;
  // What was rotated away since our file was opened, but for our file itself.
  void read_parts_between(std::vector<std::string>& lines, const Wanted& wanted);
  void read_to_end(std::vector<std::string>& lines, const Wanted& wanted);
  // Takes whole lines off `pending_`.
  void take_lines(std::vector<std::string>& lines, const Wanted& wanted);

  std::string path_;
  std::set<std::string, std::less<>> parts_;  // stems of those there were before our file
  Descriptor file_;
  off_t offset_ = 0;     // of the next byte to read
  std::string pending_;  // the beginning of a line whose end is not there yet
};

}  // namespace terrace::program
