#include "bench/response_reader.h"

#include <strings.h>

#include <charconv>

#include "bench/payload.h"

namespace terrace::bench {
namespace {

constexpr size_t kHeadBytesMax = 16 << 10;
constexpr std::string_view kHeadEnd = "\r\n\r\n";

template <class T>
std::optional<T> number(std::string_view text) {
  T value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

std::optional<int> status_of(std::string_view head) {
  if (!head.starts_with("HTTP/1.1 ") || head.size() < 12) return std::nullopt;
  return number<int>(head.substr(9, 3));
}

// The value of Content-Length in `head`, whose lines all end with CR LF.
std::optional<uint64_t> length_of(std::string_view head) {
  constexpr std::string_view kName = "content-length:";
  for (size_t line = head.find('\n') + 1; line < head.size(); line = head.find('\n', line) + 1) {
    const std::string_view rest = head.substr(line);
    if (rest.size() <= kName.size() || strncasecmp(rest.data(), kName.data(), kName.size()) != 0) continue;
    std::string_view value = rest.substr(kName.size(), rest.find('\r') - kName.size());
    if (value.starts_with(' ')) value.remove_prefix(1);
    return number<uint64_t>(value);
  }
  return std::nullopt;
}

}  // namespace

ResponseReader::Outcome ResponseReader::read(std::string_view bytes, const Expected& expected) {
  const Outcome outcome = in_body_ ? read_body(bytes, expected) : read_head(bytes, expected);
  if (outcome != Outcome::kMore) {
    head_.clear();
    in_body_ = false;
  }
  return outcome;
}

ResponseReader::Outcome ResponseReader::read_head(std::string_view bytes, const Expected& expected) {
  if (!head_.empty()) {
    head_ += bytes;
    bytes = head_;
  }
  const size_t end = bytes.find(kHeadEnd);
  if (end == std::string_view::npos) {
    if (bytes.size() > kHeadBytesMax) return Outcome::kMalformed;
    if (head_.empty()) head_ = bytes;
    return Outcome::kMore;
  }
  const size_t head_bytes = end + kHeadEnd.size();
  const Outcome outcome = start_body(bytes.substr(0, head_bytes), expected);
  return outcome == Outcome::kMore ? read_body(bytes.substr(head_bytes), expected) : outcome;
}

ResponseReader::Outcome ResponseReader::start_body(std::string_view head, const Expected& expected) {
  const std::optional<int> status = status_of(head);
  const std::optional<uint64_t> length = length_of(head);
  if (!status) return Outcome::kMalformed;
  if (*status != expected.status) return Outcome::kStatus;
  if (!length) return Outcome::kMalformed;
  if (expected.body_bytes && *length != *expected.body_bytes) return Outcome::kLength;
  in_body_ = true;
  body_read_ = 0;
  body_bytes_ = *length;
  return Outcome::kMore;
}

ResponseReader::Outcome ResponseReader::read_body(std::string_view bytes, const Expected& expected) {
  if (bytes.size() > body_bytes_ - body_read_) return Outcome::kUnexpected;
  if (expected.is_payload && !is_payload(bytes, body_read_)) return Outcome::kBody;
  body_read_ += bytes.size();
  return body_read_ == body_bytes_ ? Outcome::kDone : Outcome::kMore;
}

}  // namespace terrace::bench
