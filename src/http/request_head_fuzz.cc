#include <cstddef>
#include <cstdint>

#include "http/fuzz_checks.h"
#include "http/parser.h"
#include "http/url.h"

namespace terrace::http {
namespace {

constexpr HeadLimits kLimits = {.target_max = 300, .head_max = 2000};

void check_accepted(const RequestHead& head) {
  check_fields(head.fields);
  ASSERT(head.target == "*" || head.target.starts_with('/'));
  for (const char c : head.target) ASSERT(is_target_byte(c));
  ASSERT(head.target.size() <= kLimits.target_max);
  ASSERT(head.path == head.target.substr(0, head.target.find('?')));
  ASSERT(head.path.size() + head.query.size() <= head.target.size());
  ASSERT(head.http_1_0 || !head.authority.empty());
  ASSERT(head.authority.empty() || valid_authority(head.authority));
  ASSERT(!head.upgrade || head.framing == Framing::kNone || head.content_length == 0);
  const Field* host = head.fields.find(HeaderId::kHost);
  ASSERT(host == nullptr || (!host->hop_by_hop && host->value == head.authority));
  const Field* length = head.fields.find(HeaderId::kContentLength);
  ASSERT((length != nullptr) == (head.framing == Framing::kLength));
  ASSERT((head.fields.find(HeaderId::kTransferEncoding) != nullptr) == (head.framing == Framing::kChunked));
}

void check_request(const SplitInput& input) {
  RequestParser whole;
  RequestHead head;
  const Parsed state = whole.parse(input.bytes, kLimits, head);
  RequestParser split;
  RequestHead other;
  Parsed split_state = split.parse(input.bytes.substr(0, input.split), kLimits, other);
  if (split_state == Parsed::kIncomplete) split_state = split.parse(input.bytes, kLimits, other);
  ASSERT(split_state == state);
  if (state == Parsed::kIncomplete) {
    ASSERT(input.bytes.size() < kLimits.head_max);
    ASSERT(whole.started() == split.started());
  }
  if (state == Parsed::kRefused) ASSERT(whole.refusal().status == split.refusal().status);
  if (state != Parsed::kDone) return;
  ASSERT(whole.head_bytes() == split.head_bytes() && whole.head_bytes() <= kLimits.head_max);
  check_lines(input.bytes.substr(0, whole.head_bytes()));
  check_same(head, other);
  check_accepted(head);
}

}  // namespace
}  // namespace terrace::http

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  terrace::http::check_request(terrace::http::split_input(data, size));
  return 0;
}
