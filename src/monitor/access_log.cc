#include "monitor/access_log.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <ctime>

#include "monitor/escape.h"

namespace terrace::monitor {
namespace {

constexpr size_t kValueBytesMax = AccessLimits::kClient + AccessLimits::kMethod + AccessLimits::kHost +
                                  AccessLimits::kTarget + AccessLimits::kProtocol + AccessLimits::kInstance +
                                  AccessLimits::kRequestId + AccessLimits::kUserAgent +
                                  AccessLimits::kReferer;
// Names, numbers, punctuation and the marks of cut values.
constexpr size_t kFixedBytesMax = 1024;
constexpr size_t kLineBytesMax = kValueBytesMax * kEscapedBytesPerByte + kFixedBytesMax;
static_assert(kLineBytesMax < AccessLog::kBufferBytes / 2);

// A literal of known length: the copy becomes a few moves.
template <size_t N>
char* append(char* out, const char (&text)[N]) {
  std::memcpy(out, text, N - 1);
  return out + N - 1;
}

char* append(char* out, std::string_view text) {
  std::memcpy(out, text.data(), text.size());
  return out + text.size();
}

char* append_number(char* out, uint64_t number) { return std::to_chars(out, out + 20, number).ptr; }

// `number` below 10^digits with leading zeros.
char* append_padded(char* out, uint64_t number, int digits) {
  for (int i = digits - 1; i >= 0; --i) {
    out[i] = static_cast<char>('0' + number % 10);
    number /= 10;
  }
  return out + digits;
}

uint64_t lines_in(std::string_view text) { return static_cast<uint64_t>(std::ranges::count(text, '\n')); }

uint64_t nanoseconds(Duration duration) {
  return duration.count() < 0 ? 0 : static_cast<uint64_t>(duration.count());
}

char* append_seconds(char* out, Duration duration) {
  const uint64_t microseconds = nanoseconds(duration) / 1000;
  out = append_number(out, microseconds / 1'000'000);
  *out++ = '.';
  return append_padded(out, microseconds % 1'000'000, 6);
}

char* append_milliseconds(char* out, Duration duration) {
  const uint64_t microseconds = nanoseconds(duration) / 1000;
  out = append_number(out, microseconds / 1000);
  *out++ = '.';
  out = append_padded(out, microseconds % 1000, 3);
  return append(out, "ms");
}

uint64_t status_of(const AccessRecord& record) {
  return record.status < 0 ? 0 : static_cast<uint64_t>(record.status);
}

char* append_quoted(char* out, std::string_view text, size_t bytes_max) {
  *out++ = '"';
  out = append_escaped(out, text, bytes_max);
  *out++ = '"';
  return out;
}

// "GET example.com/path HTTP/1.1", in quotes because a target may hold anything.
char* append_request(char* out, const AccessRecord& record) {
  *out++ = '"';
  out = append_word(out, record.method, AccessLimits::kMethod);
  *out++ = ' ';
  out = append_escaped(out, record.host, AccessLimits::kHost);
  out = append_escaped(out, record.target, AccessLimits::kTarget);
  *out++ = ' ';
  out = append_word(out, record.protocol, AccessLimits::kProtocol);
  *out++ = '"';
  return out;
}

}  // namespace

AccessLog::AccessLog(int fd, AccessForm form)
    : fd_(fd), form_(form), buffer_(std::make_unique<char[]>(kBufferBytes)) {}

AccessLog::~AccessLog() { flush(); }

void AccessLog::add(const AccessRecord& record) {
  if (used_ + kLineBytesMax > kBufferBytes) flush();
  char* const start = buffer_.get() + used_;
  char* end = form_ == AccessForm::kJson ? append_json(start, record) : append_readable(start, record);
  *end++ = '\n';
  used_ += static_cast<size_t>(end - start);
  ++lines_;
}

void AccessLog::flush() {
  if (used_ == 0) return;
  const size_t taken = mid_line_ && write_out("\n", 1) == 0 ? 0 : write_out(buffer_.get(), used_);
  if (taken > 0) mid_line_ = buffer_[taken - 1] != '\n';
  const uint64_t whole = taken == used_ ? lines_ : lines_in({buffer_.get(), taken});
  written_.add(whole);
  dropped_.add(lines_ - whole);
  used_ = 0;
  lines_ = 0;
}

void AccessLog::reopen(int fd) {
  flush();
  fd_ = fd;
  mid_line_ = false;
}

size_t AccessLog::write_out(const char* data, size_t bytes) const {
  size_t taken = 0;
  while (taken < bytes) {
    const ssize_t n = ::write(fd_, data + taken, bytes - taken);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) break;
    taken += static_cast<size_t>(n);
  }
  return taken;
}

char* AccessLog::append_time(char* out, WallTime time) {
  const int64_t milliseconds =
      std::chrono::duration_cast<std::chrono::milliseconds>(time.time_since_epoch()).count();
  const int64_t second = milliseconds / 1000;
  if (second != cache_.second) {
    const time_t seconds = second;
    tm parts{};
    gmtime_r(&seconds, &parts);
    char text[32];
    (void)strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &parts);
    std::memcpy(cache_.text, text, sizeof cache_.text);
    cache_.second = second;
  }
  std::memcpy(out, cache_.text, sizeof cache_.text);
  out += sizeof cache_.text;
  *out++ = '.';
  out = append_padded(out, static_cast<uint64_t>(milliseconds % 1000), 3);
  *out++ = 'Z';
  return out;
}

char* AccessLog::append_json(char* out, const AccessRecord& record) {
  out = append_time(append(out, "{\"time\":\""), record.time);
  out = append_escaped(append(out, "\",\"client\":\""), record.client, AccessLimits::kClient);
  out = append_escaped(append(out, "\",\"method\":\""), record.method, AccessLimits::kMethod);
  out = append_escaped(append(out, "\",\"host\":\""), record.host, AccessLimits::kHost);
  out = append_escaped(append(out, "\",\"target\":\""), record.target, AccessLimits::kTarget);
  out = append_escaped(append(out, "\",\"protocol\":\""), record.protocol, AccessLimits::kProtocol);
  out = append_number(append(out, "\",\"status\":"), status_of(record));
  out = append_number(append(out, ",\"bytes_sent\":"), record.bytes_sent);
  out = append_number(append(out, ",\"bytes_received\":"), record.bytes_received);
  out = append_seconds(append(out, ",\"duration_seconds\":"), record.duration);
  out = append(append(out, ",\"served_from\":\""), name_of(record.served_from));
  out = append_escaped(append(out, "\",\"instance\":\""), record.instance, AccessLimits::kInstance);
  out = append_number(append(out, "\",\"release\":"), record.release);
  out = append_escaped(append(out, ",\"request_id\":\""), record.request_id, AccessLimits::kRequestId);
  out = append_escaped(append(out, "\",\"user_agent\":\""), record.user_agent, AccessLimits::kUserAgent);
  out = append_escaped(append(out, "\",\"referer\":\""), record.referer, AccessLimits::kReferer);
  return append(out, "\"}");
}

char* AccessLog::append_readable(char* out, const AccessRecord& record) {
  out = append_time(out, record.time);
  *out++ = ' ';
  out = append_word(out, record.client, AccessLimits::kClient);
  *out++ = ' ';
  out = append_request(out, record);
  *out++ = ' ';
  out = append_number(out, status_of(record));
  *out++ = ' ';
  out = append_number(out, record.bytes_sent);
  *out++ = ' ';
  out = append_milliseconds(out, record.duration);
  *out++ = ' ';
  out = record.instance.empty() ? append(out, name_of(record.served_from))
                                : append_word(out, record.instance, AccessLimits::kInstance);
  if (record.release != 0) {
    *out++ = '@';
    out = append_number(out, record.release);
  }
  *out++ = ' ';
  out = append_word(out, record.request_id, AccessLimits::kRequestId);
  *out++ = ' ';
  out = append_quoted(out, record.referer, AccessLimits::kReferer);
  *out++ = ' ';
  return append_quoted(out, record.user_agent, AccessLimits::kUserAgent);
}

}  // namespace terrace::monitor
