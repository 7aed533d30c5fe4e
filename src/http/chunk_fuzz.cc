#include <cstddef>
#include <cstdint>
#include <string>

#include "http/chunk.h"
#include "http/fuzz_checks.h"

namespace terrace::http {
namespace {

struct Outcome {
  Parsed state = Parsed::kIncomplete;
  std::string data;
  size_t consumed = 0;
};

// Decodes the bytes from outcome.consumed up to `end`.
void decode_up_to(size_t end, std::string_view bytes, ChunkDecoder& decoder, Outcome& outcome) {
  while (outcome.consumed < end && outcome.state == Parsed::kIncomplete) {
    const std::string_view left = bytes.substr(outcome.consumed, end - outcome.consumed);
    const ChunkDecoder::Step step = decoder.decode(left);
    ASSERT(step.consumed <= left.size() && step.data.size() <= step.consumed);
    ASSERT(step.consumed > 0 || step.state == Parsed::kRefused);
    ASSERT(step.data.empty() || step.data.data() + step.data.size() == left.data() + step.consumed);
    outcome.state = step.state;
    outcome.data += step.data;
    outcome.consumed += step.consumed;
  }
}

void check_chunks(const SplitInput& input) {
  ChunkDecoder decoder;
  Outcome whole;
  decode_up_to(input.bytes.size(), input.bytes, decoder, whole);
  ChunkDecoder split_decoder;
  Outcome split;
  decode_up_to(input.split, input.bytes, split_decoder, split);
  decode_up_to(input.bytes.size(), input.bytes, split_decoder, split);
  ASSERT(whole.state == split.state && whole.data == split.data && whole.consumed == split.consumed);
  if (whole.state == Parsed::kRefused) ASSERT(decoder.refusal().status == 400);
  if (whole.state == Parsed::kDone) ASSERT(input.bytes.substr(0, whole.consumed).ends_with("\r\n\r\n"));
}

}  // namespace
}  // namespace terrace::http

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  terrace::http::check_chunks(terrace::http::split_input(data, size));
  return 0;
}
