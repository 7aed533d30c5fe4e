#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <string>

#include "http/chunk.h"
#include "http/fuzz_checks.h"
#include "http/parser.h"
#include "http/writer.h"

// What was parsed, written anew and parsed again is the same: requests as a proxy
// sends them on, responses, and bodies in the chunked coding.

namespace terrace::http {
namespace {

using Buffer = std::array<char, 65536>;
constexpr HeadLimits kWrittenLimits = {.head_max = 60000};

bool is_written_by_proxy(const Field& field) {
  return field.hop_by_hop || field.id == HeaderId::kHost || field.id == HeaderId::kContentLength ||
         field.id == HeaderId::kExpect;
}

void write_fields(const Fields& fields, HeadWriter& writer) {
  for (const Field& field : fields) {
    if (!is_written_by_proxy(field)) writer.field(field.name, field.value);
  }
}

void write_framing(Framing framing, uint64_t content_length, HeadWriter& writer) {
  if (framing == Framing::kLength) writer.field("Content-Length", content_length);
  if (framing == Framing::kChunked) writer.field("Transfer-Encoding", "chunked");
  writer.end();
}

std::string_view write_request(const RequestHead& head, Buffer& buffer) {
  HeadWriter writer(buffer);
  writer.request_line(head.method_text, head.target);
  writer.field("Host", head.authority.empty() ? "localhost" : head.authority);
  write_fields(head.fields, writer);
  write_framing(head.framing, head.content_length, writer);
  ASSERT(!writer.overflow());
  return writer.written();
}

// The forwarded fields of both are the same, in the same order.
void check_forwarded(const Fields& sent, const Fields& received) {
  const Field* at = received.begin();
  for (const Field& field : sent) {
    if (is_written_by_proxy(field)) continue;
    while (at != received.end() && is_written_by_proxy(*at)) at++;
    ASSERT(at != received.end() && at->name == field.name && at->value == field.value);
    at++;
  }
  while (at != received.end() && is_written_by_proxy(*at)) at++;
  ASSERT(at == received.end());
}

void check_request(std::string_view bytes) {
  RequestHead head;
  if (RequestParser parser; parser.parse(bytes, {}, head) != Parsed::kDone) return;
  // There must be room for the two that are added.
  if (head.fields.size() > Fields::kMax - 2) return;
  Buffer buffer;
  const std::string_view written = write_request(head, buffer);
  RequestParser parser;
  RequestHead again;
  ASSERT(parser.parse(written, kWrittenLimits, again) == Parsed::kDone);
  ASSERT(parser.head_bytes() == written.size());
  ASSERT(again.method == head.method && again.method_text == head.method_text);
  ASSERT(again.target == head.target && again.path == head.path && again.query == head.query);
  ASSERT(again.authority == (head.authority.empty() ? "localhost" : head.authority));
  ASSERT(again.framing == head.framing && again.content_length == head.content_length);
  check_forwarded(head.fields, again.fields);
  Buffer second;
  ASSERT(write_request(again, second) == written);
}

void check_response(std::string_view bytes) {
  ResponseHead head;
  if (ResponseParser parser; parser.parse(bytes, {}, Method::kGet, head) != Parsed::kDone) return;
  if (head.fields.size() > Fields::kMax - 1) return;
  Buffer buffer;
  HeadWriter writer(buffer);
  writer.status_line(head.status);
  write_fields(head.fields, writer);
  write_framing(head.framing, head.content_length, writer);
  ASSERT(!writer.overflow());
  ResponseParser parser;
  ResponseHead again;
  ASSERT(parser.parse(writer.written(), kWrittenLimits, Method::kGet, again) == Parsed::kDone);
  ASSERT(again.status == head.status && again.reason == reason_phrase(head.status));
  ASSERT(again.framing == head.framing);
  if (head.framing == Framing::kLength) ASSERT(again.content_length == head.content_length);
  check_forwarded(head.fields, again.fields);
}

// The first byte of what is left says how long the next chunk is.
std::string encode(std::string_view bytes, std::string& body) {
  std::string coded;
  std::array<char, 18> line;
  while (!bytes.empty()) {
    const size_t size = std::min<size_t>(static_cast<uint8_t>(bytes[0]) + 1, bytes.size());
    coded.append(line.data(), write_chunk_line(size, line));
    coded += bytes.substr(0, size);
    coded += "\r\n";
    body += bytes.substr(0, size);
    bytes.remove_prefix(size);
  }
  return coded + "0\r\n\r\n";
}

void check_body(std::string_view bytes) {
  std::string body;
  const std::string coded = encode(bytes, body);
  std::string decoded;
  ChunkDecoder decoder;
  std::string_view rest = coded;
  Parsed state = Parsed::kIncomplete;
  while (!rest.empty()) {
    const ChunkDecoder::Step step = decoder.decode(rest);
    ASSERT(step.state != Parsed::kRefused && step.consumed > 0);
    state = step.state;
    decoded += step.data;
    rest.remove_prefix(step.consumed);
  }
  ASSERT(state == Parsed::kDone && decoded == body);
}

}  // namespace
}  // namespace terrace::http

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  terrace::http::check_request(bytes);
  terrace::http::check_response(bytes);
  terrace::http::check_body(bytes);
  return 0;
}
