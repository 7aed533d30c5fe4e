#pragma once

// Whether a tar archive that streams by is whole: it ends with two blocks of zeros
// (POSIX, pax, "ustar Interchange Format"). A pipe that was cut off in the middle, an
// ssh connection for instance, ends like a file that is complete; only this tells them
// apart. Nothing is unpacked here.

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/result.h"

namespace terrace::program {

class TarEnd {
 public:
  // What came next. kInvalid when it cannot be a tar archive.
  Result<void> add(std::string_view bytes);
  // The end was there. What follows it is filling.
  bool complete() const { return zero_blocks_ >= 2; }
  // Files, folders and links so far.
  uint64_t entries() const { return entries_; }

 private:
  static constexpr size_t kBlock = 512;
  Result<void> take_block();

  std::array<char, kBlock> block_{};
  size_t have_ = 0;
  uint64_t skip_ = 0;  // bytes of a file's content that are still to come, filling included
  int zero_blocks_ = 0;
  uint64_t entries_ = 0;
};

}  // namespace terrace::program
