#include "http/writer.h"

#include <charconv>
#include <cstring>

#include "base/assert.h"

namespace terrace::http {
namespace {

// The caller has made sure of the room. An empty text may have no address.
char* put(char* at, std::string_view text) {
  if (!text.empty()) memcpy(at, text.data(), text.size());
  return at + text.size();
}

constexpr size_t kNumberDigits = 20;  // of 2^64 - 1

}  // namespace

char* HeadWriter::room(size_t bytes) {
  if (overflow_ || bytes > static_cast<size_t>(end_ - at_)) {
    overflow_ = true;
    return nullptr;
  }
  char* at = at_;
  at_ += bytes;
  return at;
}

void HeadWriter::text(std::string_view text) {
  char* at = room(text.size());
  if (at != nullptr) put(at, text);
}

void HeadWriter::number(uint64_t value) {
  char digits[kNumberDigits];
  const char* end = std::to_chars(digits, digits + sizeof digits, value).ptr;
  text({digits, static_cast<size_t>(end - digits)});
}

void HeadWriter::field(std::string_view name, std::string_view value) {
  char* at = room(name.size() + value.size() + 4);
  if (at == nullptr) return;
  at = put(at, name);
  at = put(at, ": ");
  at = put(at, value);
  put(at, "\r\n");
}

void HeadWriter::field(std::string_view name, uint64_t value) {
  char digits[kNumberDigits];
  const char* end = std::to_chars(digits, digits + sizeof digits, value).ptr;
  field(name, std::string_view(digits, static_cast<size_t>(end - digits)));
}

void HeadWriter::status_line(int status) {
  ASSERT(status >= 100 && status <= 999);
  const std::string_view reason = reason_phrase(status);
  char* at = room(15 + reason.size());
  if (at == nullptr) return;
  at = put(at, "HTTP/1.1 ");
  at = std::to_chars(at, at + 3, status).ptr;
  at = put(at, " ");
  at = put(at, reason);
  put(at, "\r\n");
}

void HeadWriter::request_line(std::string_view method, std::string_view target) {
  char* at = room(method.size() + target.size() + 12);
  if (at == nullptr) return;
  at = put(at, method);
  at = put(at, " ");
  at = put(at, target);
  put(at, " HTTP/1.1\r\n");
}

size_t write_chunk_line(uint64_t bytes, std::span<char> into) {
  ASSERT(into.size() >= 18);
  char* end = std::to_chars(into.data(), into.data() + 16, bytes, 16).ptr;
  return static_cast<size_t>(put(end, "\r\n") - into.data());
}

}  // namespace terrace::http
