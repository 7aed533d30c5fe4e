#pragma once

// A coordinator's state on disk: <folder>/journal, one record (state_json.h) per line
// behind its CRC-32 (zlib), so that a person can read it:
//
//   5d1c3b0a {"begin":{"version":1,"entries":[]},…}
//   91ab77e2 {"version":2,"writes":[…]}
//
// A record is on disk before append() returns. A power cut can only tear the last line:
// it was never answered and is cut off when the file is opened. Damage anywhere else is
// not repaired but reported. When the file has grown it is replaced, whole, by one that
// begins with everything.
//
// All calls block; one thread at a time.

#include <memory>
#include <string>

#include "base/descriptor.h"
#include "cluster/entries.h"
#include "cluster/state_json.h"

namespace terrace::cluster {

class Journal {
 public:
  // What the records amount to.
  struct Contents {
    Entries entries;
    Placement placement;
    bool moving = false;
    size_t torn_bytes = 0;  // cut off at the end
  };

  // kNotFound: there is none. kInvalid: damaged. kUnavailable: another process has it.
  static Result<std::unique_ptr<Journal>> open(const std::string& folder, Contents& contents);
  // Begins with these; replaces what is there.
  static Result<std::unique_ptr<Journal>> create(const std::string& folder, const Snapshot& begin,
                                                 const Placement& placement);

  // After an error nothing of the record is on disk, unless broken(): then nobody knows,
  // and the journal must be opened anew.
  Result<void> append(const Record& record);
  bool broken() const { return broken_; }
  // Worth to begin anew.
  bool grown() const { return bytes_ > 2 * begin_bytes_ + kGrowthBytes; }
  Result<void> begin_anew(const Record& begin);

 private:
  static constexpr size_t kGrowthBytes = 1 << 20;
  explicit Journal(std::string folder) : folder_(std::move(folder)), path_(folder_ + "/journal") {}
  Result<void> lock();
  Result<void> reopen();

  std::string folder_;
  std::string path_;
  Descriptor lock_;
  Descriptor file_;
  size_t bytes_ = 0;
  size_t begin_bytes_ = 0;
  bool broken_ = false;
};

// One line: the checksum, a blank, the text, a line end.
std::string checked_line(std::string_view text);
// The text of a line without its end; none when the checksum is another.
std::optional<std::string_view> text_of_checked_line(std::string_view line);

// What the text of a journal amounts to. `good_bytes`: how much of it stands, the rest is
// a torn line. kInvalid when it is damaged elsewhere.
Result<size_t> read_journal(std::string_view text, Journal::Contents& contents);

}  // namespace terrace::cluster
