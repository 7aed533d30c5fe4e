#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/assert.h"
#include "program/tar_end.h"

// However an archive is cut into pieces on its way, the verdict on it is the same.

namespace {

using namespace terrace::program;

struct Verdict {
  bool taken = true;
  bool complete = false;
  uint64_t entries = 0;
  bool operator==(const Verdict&) const = default;
};

Verdict judge(std::string_view bytes, size_t piece) {
  TarEnd end;
  Verdict verdict;
  while (!bytes.empty() && verdict.taken) {
    const size_t part = std::min(piece, bytes.size());
    verdict.taken = end.add(bytes.substr(0, part)).has_value();
    bytes.remove_prefix(part);
  }
  verdict.complete = end.complete();
  verdict.entries = end.entries();
  return verdict;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const Verdict whole = judge(bytes, bytes.size() + 1);
  ASSERT(judge(bytes, 7) == whole);
  ASSERT(judge(bytes, 512) == whole);
  ASSERT(whole.entries <= size / 512);
  return 0;
}
