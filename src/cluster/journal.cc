#include "cluster/journal.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include <algorithm>
#include <cerrno>

#include "base/assert.h"
#include "base/file.h"

namespace terrace::cluster {
namespace {

constexpr size_t kChecksumLetters = 8;
// A beginning in full, its growth up to the same again, and a last record.
constexpr size_t kJournalBytesMax = 4 * kStateTextBytesMax;

std::string checksum_of(std::string_view text) {
  const uLong sum = ::crc32(0, reinterpret_cast<const Bytef*>(text.data()), static_cast<uInt>(text.size()));
  return fmt::format("{:08x}", static_cast<uint32_t>(sum));
}

std::unexpected<Error> damaged(const char* text) { return fail(Code::kInvalid, "journal", text); }

Result<void> take(const Record& record, Journal::Contents& contents) {
  if (record.begin) contents.entries = Entries(*record.begin);
  if (record.placement) contents.placement = *record.placement;
  if (record.placement) contents.moving = record.moving;
  if (record.version == 0) return {};
  if (record.version != contents.entries.version() + 1) return damaged("a commit is missing");
  contents.entries.write({.writes = record.writes});
  return {};
}

// A line that is whole and right, from `at` on, however the bytes before it look.
bool any_good_line(std::string_view text, size_t at) {
  while (at < text.size()) {
    const size_t end = text.find('\n', at);
    if (end == std::string_view::npos) return false;
    if (text_of_checked_line(text.substr(at, end - at))) return true;
    at = end + 1;
  }
  return false;
}

}  // namespace

std::string checked_line(std::string_view text) { return checksum_of(text) + " " + std::string(text) + "\n"; }

std::optional<std::string_view> text_of_checked_line(std::string_view line) {
  if (line.size() <= kChecksumLetters || line[kChecksumLetters] != ' ') return std::nullopt;
  const std::string_view text = line.substr(kChecksumLetters + 1);
  if (checksum_of(text) != line.substr(0, kChecksumLetters)) return std::nullopt;
  return text;
}

Result<size_t> read_journal(std::string_view text, Journal::Contents& contents) {
  size_t at = 0;
  while (at < text.size()) {
    const size_t end = text.find('\n', at);
    const std::string_view line = text.substr(at, end == std::string_view::npos ? end : end - at);
    const auto good = end == std::string_view::npos ? std::nullopt : text_of_checked_line(line);
    if (!good) break;
    const Result<Record> record = parse_record(*good);
    if (!record) return damaged("a record is not in its form");
    // The first record, and no other, is a beginning.
    if (record->begin.has_value() != (at == 0)) return damaged("no beginning, or two");
    if (const Result<void> taken = take(*record, contents); !taken) return std::unexpected(taken.error());
    at = end + 1;
  }
  if (at == 0) return damaged("no beginning");
  const size_t next = text.find('\n', at);
  if (next != std::string_view::npos && any_good_line(text, next + 1))
    return damaged("a record in the middle");
  return at;
}

Result<void> Journal::lock() {
  lock_ = Descriptor(::open((path_ + ".lock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!lock_) return fail_system("open");
  if (::flock(lock_.get(), LOCK_EX | LOCK_NB) == 0) return {};
  if (errno == EWOULDBLOCK) return fail(Code::kUnavailable, "journal", "another process has it open");
  return fail_system("flock");
}

Result<void> Journal::reopen() {
  file_ = Descriptor(::open(path_.c_str(), O_WRONLY | O_APPEND | O_CLOEXEC | O_NOFOLLOW));
  if (!file_) return fail_system("open");
  return {};
}

Result<std::unique_ptr<Journal>> Journal::open(const std::string& folder, Contents& contents) {
  std::unique_ptr<Journal> journal(new Journal(folder));
  struct stat there{};
  // Only when it is certain: who is told that there is none may begin a new one.
  if (::stat(journal->path_.c_str(), &there) != 0)
    return errno == ENOENT ? fail(Code::kNotFound, "journal", "there is none") : fail_system("stat");
  if (const Result<void> locked = journal->lock(); !locked) return std::unexpected(locked.error());
  const Result<std::string> text = read_file(journal->path_, kJournalBytesMax);
  if (!text) return std::unexpected(text.error());
  const Result<size_t> good = read_journal(*text, contents);
  if (!good) return std::unexpected(good.error());
  if (const Result<void> opened = journal->reopen(); !opened) return std::unexpected(opened.error());
  contents.torn_bytes = text->size() - *good;
  if (contents.torn_bytes > 0 && ::ftruncate(journal->file_.get(), static_cast<off_t>(*good)) != 0)
    return fail_system("ftruncate");
  // What was read may not have reached the disk before the process ended.
  if (::fsync(journal->file_.get()) != 0) return fail_system("fsync");
  journal->bytes_ = *good;
  journal->begin_bytes_ = text->find('\n') + 1;
  return journal;
}

Result<std::unique_ptr<Journal>> Journal::create(const std::string& folder, const Snapshot& begin,
                                                 const Placement& placement) {
  std::unique_ptr<Journal> journal(new Journal(folder));
  if (const Result<void> made = make_folders(folder, 0700); !made) return std::unexpected(made.error());
  if (const Result<void> locked = journal->lock(); !locked) return std::unexpected(locked.error());
  // Version 0 is before the first commit: a coordinator begins with 1 and counts from there.
  Record first{.begin = begin, .placement = placement};
  first.begin->version = std::max<Version>(begin.version, 1);
  if (const Result<void> begun = journal->begin_anew(first); !begun) return std::unexpected(begun.error());
  return journal;
}

Result<void> Journal::begin_anew(const Record& begin) {
  ASSERT(begin.begin && begin.placement);
  const std::string line = checked_line(to_json(begin));
  if (const Result<void> written = write_file(path_, line, 0600); !written) return written;
  bytes_ = begin_bytes_ = line.size();
  Result<void> done = reopen();
  // Until the folder is on disk a power cut could bring the old file back, without what
  // is appended to the new one.
  const Descriptor folder(::open(folder_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (done && (!folder || ::fsync(folder.get()) != 0)) done = fail_system("fsync");
  broken_ = !done;
  return done;
}

Result<void> Journal::append(const Record& record) {
  if (broken_) return fail(Code::kUnavailable, "journal", "broken");
  const std::string line = checked_line(to_json(record));
  const Result<void> written = write_all(file_.get(), line);
  if (!written) {
    // A full disk takes a part of the line: it must go, or the next record would follow it.
    broken_ = ::ftruncate(file_.get(), static_cast<off_t>(bytes_)) != 0;
    return written;
  }
  if (::fdatasync(file_.get()) != 0) {
    // The kernel may have dropped the pages and forgotten: a second try proves nothing.
    broken_ = true;
    return fail_system("fdatasync");
  }
  bytes_ += line.size();
  return {};
}

}  // namespace terrace::cluster
