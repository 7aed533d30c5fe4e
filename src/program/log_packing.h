#pragma once

// Reading and writing compressed log files. Blocks on files, and takes its time.

#include <cstddef>
#include <memory>
#include <string>

#include "base/result.h"

namespace terrace::program {

// Replaces the file by `path`.zst (zstd) with the same content, mode and time of
// change. kUnavailable while somebody holds the file open for writing
// (log_appender.h). The plain file goes once the other is safe on disk.
Result<void> pack_log(const std::string& path);

// The lines of a file, first to last, whether it is plain, gzip or zstd.
class LogReader {
 public:
  // A longer line is given in pieces.
  static constexpr size_t kLineBytesMax = 1 << 20;

  static Result<std::unique_ptr<LogReader>> open(const std::string& path);
  virtual ~LogReader() = default;

  // The next line without its end; false when there is none any more. What follows
  // the last line end of the file counts as a line.
  bool next(std::string& line);

 protected:
  // The next bytes of the content, appended to `into`; false at its end, or where it
  // cannot be read any further.
  virtual bool read(std::string& into) = 0;

 private:
  std::string pending_;
  size_t begin_ = 0;  // of the next line in `pending_`
  bool ended_ = false;
};

}  // namespace terrace::program
