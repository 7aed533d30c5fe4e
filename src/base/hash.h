#pragma once

#include <cstdint>
#include <cstring>
#include <string_view>

namespace terrace {

// Both halves of the product, folded: every bit of the input moves every bit.
inline uint64_t fold(uint64_t a, uint64_t b) {
  __extension__ using Wide = unsigned __int128;
  const Wide product = static_cast<Wide>(a) * b;
  return static_cast<uint64_t>(product) ^ static_cast<uint64_t>(product >> 64);
}

// A fast 64-bit hash by multiply and fold, eight bytes at a time. With a secret key
// nobody outside can make two texts meet; it is no cryptographic hash.
inline uint64_t hash64(std::string_view text, uint64_t key) {
  constexpr uint64_t kOdd = 0x9e3779b97f4a7c15;
  uint64_t state = key ^ fold(text.size() ^ kOdd, key | 1);
  while (text.size() >= 8) {
    uint64_t word = 0;
    std::memcpy(&word, text.data(), 8);
    // The sum keeps a state that happens to equal the word from ending at zero.
    state = fold(state ^ word, kOdd ^ key) + word;
    text.remove_prefix(8);
  }
  uint64_t rest = 0;
  std::memcpy(&rest, text.data(), text.size());
  return fold(state ^ rest, kOdd ^ (key << 1));
}

}  // namespace terrace
