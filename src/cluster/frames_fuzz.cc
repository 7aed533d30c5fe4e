// What a peer sends on the control channel before anything of it is believed: cut in any
// way, the same bytes give the same frames, none beyond the limits.

#include <cstdlib>
#include <vector>

#include "cluster/frames.h"

namespace {

using terrace::cluster::Frame;
using terrace::cluster::FrameKind;
using terrace::cluster::FrameReader;

struct Outcome {
  std::vector<Frame> frames;
  bool refused = false;
  bool operator==(const Outcome&) const = default;
};

// False when the reader refused what it has.
bool take(FrameReader& reader, Outcome& outcome) {
  for (;;) {
    auto frame = reader.next();
    if (!frame) return false;
    if (!*frame) return true;
    outcome.frames.push_back(std::move(**frame));
  }
}

Outcome read(std::string_view bytes, size_t step) {
  FrameReader reader;
  Outcome outcome;
  while (!bytes.empty() && !outcome.refused) {
    reader.add(bytes.substr(0, step));
    bytes.remove_prefix(std::min(step, bytes.size()));
    outcome.refused = !take(reader, outcome);
  }
  return outcome;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const Outcome whole = read(bytes, size + 1);
  if (read(bytes, 1) != whole) std::abort();
  std::string again;
  for (const Frame& frame : whole.frames) {
    if (frame.kind == FrameKind::kData && frame.body.size() > terrace::cluster::kDataBytesMax) std::abort();
    again += terrace::cluster::frame_bytes(frame.kind, frame.body);
  }
  if (!bytes.starts_with(again)) std::abort();
  return 0;
}
