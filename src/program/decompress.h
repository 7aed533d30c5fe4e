#pragma once

// A stream that may be compressed, by its first bytes: gzip (RFC 1952), zstd (RFC 8878),
// or plain.

#include <cstddef>
#include <functional>
#include <memory>
#include <string_view>

#include "base/result.h"

namespace terrace::program {

constexpr size_t kMagicBytes = 4;

class Decompressor {
 public:
  using Sink = std::function<Result<void>(std::string_view plain)>;
  virtual ~Decompressor() = default;
  // Gives what becomes of the next bytes to `sink`, in pieces of at most 64 KiB.
  virtual Result<void> add(std::string_view bytes, const Sink& sink) = 0;
  // The stream ended where it may: not in the middle of what was compressed.
  virtual bool at_end() const = 0;
  virtual const char* name() const = 0;  // "gzip"
};

// By what the stream begins with, its first kMagicBytes if it has so many.
std::unique_ptr<Decompressor> decompressor_for(std::string_view beginning);

}  // namespace terrace::program
