#include <cstddef>
#include <cstdint>

#include "http/fuzz_checks.h"
#include "http/parser.h"

namespace terrace::http {
namespace {

constexpr HeadLimits kLimits = {.head_max = 2000};

void check_accepted(const ResponseHead& head, Method request) {
  check_fields(head.fields);
  ASSERT(head.status >= 100 && head.status <= 599);
  for (const char c : head.reason) ASSERT(is_value_byte(c));
  const bool no_body =
      request == Method::kHead || head.status < 200 || head.status == 204 || head.status == 304;
  ASSERT(no_body == (head.framing == Framing::kNone));
  ASSERT(head.framing != Framing::kUntilClose || !head.keep_alive);
  ASSERT(head.has_content_length == (head.fields.find(HeaderId::kContentLength) != nullptr));
}

void check_response(const SplitInput& input) {
  const Method request = input.split % 2 == 0 ? Method::kGet : Method::kHead;
  ResponseParser whole;
  ResponseHead head;
  const Parsed state = whole.parse(input.bytes, kLimits, request, head);
  ResponseParser split;
  ResponseHead other;
  Parsed split_state = split.parse(input.bytes.substr(0, input.split), kLimits, request, other);
  if (split_state == Parsed::kIncomplete) split_state = split.parse(input.bytes, kLimits, request, other);
  ASSERT(split_state == state);
  if (state == Parsed::kIncomplete) ASSERT(input.bytes.size() < kLimits.head_max);
  if (state == Parsed::kRefused) ASSERT(whole.refusal().status == 502 && split.refusal().status == 502);
  if (state != Parsed::kDone) return;
  ASSERT(whole.head_bytes() == split.head_bytes() && whole.head_bytes() <= kLimits.head_max);
  check_lines(input.bytes.substr(0, whole.head_bytes()));
  check_same(head, other);
  check_accepted(head, request);
}

}  // namespace
}  // namespace terrace::http

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  terrace::http::check_response(terrace::http::split_input(data, size));
  return 0;
}
