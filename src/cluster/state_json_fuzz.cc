#include "cluster/state_json.h"

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/assert.h"
#include "cluster/base64.h"

// What is taken keeps the limits and reads the same when it is written anew.

namespace {

using namespace terrace::cluster;

void check_requests(std::string_view text) {
  const auto request = parse_state_request(text);
  if (!request) return;
  if (const auto* commit = std::get_if<Commit>(&*request)) ASSERT(objection_to(*commit) == nullptr);
  const auto again = parse_state_request(to_json(*request));
  ASSERT(again && *again == *request);
}

void check_answers(std::string_view text) {
  const auto answer = parse_state_answer(text);
  if (!answer) return;
  const auto again = parse_state_answer(to_json(*answer));
  ASSERT(again && *again == *answer);
}

void check_records(std::string_view text) {
  const auto record = parse_record(text);
  if (!record) return;
  const auto again = parse_record(to_json(*record));
  ASSERT(again && *again == *record);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  check_requests(text);
  check_answers(text);
  check_records(text);
  if (const auto bytes = from_base64(text)) ASSERT(to_base64(*bytes) == text);
  return 0;
}
