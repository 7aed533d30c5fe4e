#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

#include "base/assert.h"
#include "http/message.h"
#include "http/syntax.h"

namespace terrace::http {

// What the fuzzers of heads assert.

// An input is two bytes, which say where to split the rest.
struct SplitInput {
  std::string_view bytes;
  size_t split = 0;
};

inline SplitInput split_input(const uint8_t* data, size_t size) {
  if (size < 2) return {};
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 2, size - 2);
  return {.bytes = bytes, .split = (data[0] | static_cast<size_t>(data[1]) << 8) % (bytes.size() + 1)};
}

inline void check_same(const Fields& a, const Fields& b) {
  ASSERT(a.size() == b.size());
  for (int i = 0; i < a.size(); i++) {
    const Field& left = a.begin()[i];
    const Field& right = b.begin()[i];
    ASSERT(left.name == right.name && left.value == right.value);
    ASSERT(left.id == right.id && left.hop_by_hop == right.hop_by_hop);
  }
}

inline void check_same(const RequestHead& a, const RequestHead& b) {
  ASSERT(a.method == b.method && a.method_text == b.method_text);
  ASSERT(a.target == b.target && a.path == b.path && a.query == b.query && a.authority == b.authority);
  ASSERT(a.http_1_0 == b.http_1_0 && a.keep_alive == b.keep_alive);
  ASSERT(a.expect_continue == b.expect_continue && a.upgrade == b.upgrade);
  ASSERT(a.framing == b.framing && a.content_length == b.content_length);
  check_same(a.fields, b.fields);
}

inline void check_same(const ResponseHead& a, const ResponseHead& b) {
  ASSERT(a.status == b.status && a.reason == b.reason);
  ASSERT(a.http_1_0 == b.http_1_0 && a.keep_alive == b.keep_alive && a.framing == b.framing);
  ASSERT(a.content_length == b.content_length && a.has_content_length == b.has_content_length);
  check_same(a.fields, b.fields);
}

// Every line feed of an accepted head follows a carriage return, and the other
// way round; there is no NUL.
inline void check_lines(std::string_view head) {
  ASSERT(head.ends_with("\r\n\r\n"));
  for (size_t i = 0; i < head.size(); i++) {
    ASSERT(head[i] != 0);
    if (head[i] == '\n') ASSERT(i > 0 && head[i - 1] == '\r');
    if (head[i] == '\r') ASSERT(i + 1 < head.size() && head[i + 1] == '\n');
  }
}

inline void check_fields(const Fields& fields) {
  ASSERT(fields.size() <= Fields::kMax);
  int framings = 0;
  for (const Field& field : fields) {
    ASSERT(is_token(field.name) && field.id == header_id(field.name));
    for (const char c : field.value) ASSERT(is_value_byte(c));
    ASSERT(trim(field.value) == field.value);
    framings += field.id == HeaderId::kContentLength || field.id == HeaderId::kTransferEncoding;
  }
  ASSERT(framings <= 1);
}

}  // namespace terrace::http
