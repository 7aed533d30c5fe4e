#pragma once

#include <string>
#include <string_view>

#include "base/descriptor.h"
#include "base/result.h"

namespace terrace::program {

// A log file that is written at its end, by us and perhaps by other processes of
// ours, while its rotation may move it away at any time.
//
// Who has it open holds a shared flock(2): what nobody holds any more is complete,
// and only then it is compressed. Nothing is ever written into a compressed file.
class LogAppender {
 public:
  // Which files may be opened: any, or only plain ones with a single name. As root,
  // in a folder that belongs to another user, the latter: no other file shall be
  // written to through this one.
  enum class Trust { kOwnFolder, kForeignFolder };

  explicit LogAppender(std::string path = {}, Trust trust = Trust::kOwnFolder)
      : path_(std::move(path)), trust_(trust) {}

  // Opens the file that the path names now, and makes it when there is none.
  Result<void> open();
  // Whether the path names another file than the one that is open, or none.
  bool was_moved() const;

  // Appends whole lines; gives how many bytes of them the file took. When it did not
  // take all (disk full), the part of a line is cut off again.
  size_t append(std::string_view lines);

  bool is_open() const { return static_cast<bool>(file_); }
  int get() const { return file_.get(); }
  const std::string& path() const { return path_; }

 private:
  Result<Descriptor> open_once() const;
  bool names(int file) const;

  std::string path_;
  Trust trust_;
  Descriptor file_;
};

}  // namespace terrace::program
