#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>

#include "base/clock.h"
#include "base/metrics.h"
#include "monitor/served_from.h"

// The access log: one line per request, as JSON or for reading by eye.
//
// Each core owns one AccessLog; all of them write to the same file, which is
// open with O_APPEND, so a batch of lines is one write(2) and batches of two
// cores never mix. Lines wait in a buffer of fixed size until it is full or
// until the owner calls flush(), which it does every 200 ms. Nothing allocates
// after the constructor.
//
// Whatever a client sends, a record is exactly one line: control bytes are
// escaped, bytes that are not UTF-8 become U+FFFD, and long values are cut (at
// the limits below) and end in U+2026 "…".
//
// When the file cannot take a batch (disk full, quota), the batch is dropped
// and counted: serving goes on. A line of which only a part was written is
// ended before the next batch, so that later lines are whole again.

namespace terrace::monitor {

// Bytes of a value before escaping; what is longer is cut.
struct AccessLimits {
  static constexpr size_t kClient = 64;
  static constexpr size_t kMethod = 32;
  static constexpr size_t kHost = 255;
  static constexpr size_t kTarget = 2048;
  static constexpr size_t kProtocol = 16;
  static constexpr size_t kInstance = 64;
  static constexpr size_t kRequestId = 128;
  static constexpr size_t kUserAgent = 512;
  static constexpr size_t kReferer = 1024;
};

// One finished request. The views need to live only during add().
struct AccessRecord {
  WallTime time{};          // when the response ended
  std::string_view client;  // the address without port
  std::string_view method;  // empty when the head could not be read
  std::string_view host;
  std::string_view target;    // as the client sent it
  std::string_view protocol;  // "HTTP/1.1"
  int status = 0;
  uint64_t bytes_sent = 0;      // of the body, towards the client
  uint64_t bytes_received = 0;  // of the body, from the client
  Duration duration{};          // from the first byte of the head to the last byte of the response
  ServedFrom served_from = ServedFrom::kError;
  std::string_view instance;  // "app-1"; empty when no instance took part
  uint32_t release = 0;       // that answered; 0 without releases
  std::string_view request_id;
  std::string_view user_agent;
  std::string_view referer;
};

enum class AccessForm : uint8_t { kJson, kReadable };

class AccessLog {
 public:
  static constexpr size_t kBufferBytes = 64 * 1024;

  // `fd` is borrowed, open for appending, and must outlive this object.
  AccessLog(int fd, AccessForm form);
  ~AccessLog();
  AccessLog(const AccessLog&) = delete;
  AccessLog& operator=(const AccessLog&) = delete;

  // Formats the record into the buffer; writes the buffer out first when the
  // line might not fit.
  void add(const AccessRecord& record);

  // Writes what waits. Cheap when nothing does.
  void flush();

  // Writes what waits to the old file and uses `fd` from now on (rotation).
  void reopen(int fd);

  // Lines handed to the file, and lines that it did not take. Any thread may read.
  const Counter& lines_written() const { return written_; }
  const Counter& lines_dropped() const { return dropped_; }

 private:
  // "2026-11-22T10:00:00" of the second that was formatted last.
  struct SecondCache {
    int64_t second = -1;
    char text[19];
  };

  char* append_time(char* out, WallTime time);
  char* append_json(char* out, const AccessRecord& record);
  char* append_readable(char* out, const AccessRecord& record);
  // The bytes that the file took, at most `bytes`.
  size_t write_out(const char* data, size_t bytes) const;

  int fd_;
  AccessForm form_;
  bool mid_line_ = false;  // the file ends within a line of ours
  std::unique_ptr<char[]> buffer_;
  size_t used_ = 0;
  uint64_t lines_ = 0;  // in the buffer
  SecondCache cache_;
  Counter written_;
  Counter dropped_;
};

}  // namespace terrace::monitor
