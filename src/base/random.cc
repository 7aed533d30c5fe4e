#include "base/random.h"

#include <sys/random.h>

#include <vector>

#include "base/assert.h"

namespace terrace {
namespace {

uint64_t rotate(uint64_t x, int k) { return (x << k) | (x >> (64 - k)); }

// splitmix64 spreads a seed over the whole state.
uint64_t spread(uint64_t& seed) {
  seed += 0x9e3779b97f4a7c15;
  uint64_t z = seed;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
  z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
  return z ^ (z >> 31);
}

}  // namespace

Random::Random(uint64_t seed) {
  for (uint64_t& word : state_) word = spread(seed);
}

uint64_t Random::next() {
  const uint64_t result = rotate(state_[1] * 5, 7) * 9;
  const uint64_t t = state_[1] << 17;
  state_[2] ^= state_[0];
  state_[3] ^= state_[1];
  state_[1] ^= state_[2];
  state_[0] ^= state_[3];
  state_[2] ^= t;
  state_[3] = rotate(state_[3], 45);
  return result;
}

uint64_t Random::below(uint64_t bound) {
  ASSERT(bound > 0);
  // Lemire 2019: multiply and keep the high half; the bias is below 2^-32 here.
  return static_cast<uint64_t>((static_cast<unsigned __int128>(next()) * bound) >> 64);
}

uint64_t random_seed() {
  uint64_t seed = 0;
  ASSERT(getrandom(&seed, sizeof seed, 0) == static_cast<ssize_t>(sizeof seed));
  return seed;
}

std::string random_secret(int bytes) {
  ASSERT(bytes > 0 && bytes <= 256);
  std::vector<unsigned char> raw(static_cast<size_t>(bytes));
  ASSERT(getrandom(raw.data(), raw.size(), 0) == bytes);
  static constexpr char kHex[] = "0123456789abcdef";
  std::string text;
  for (unsigned char byte : raw) {
    text += kHex[byte >> 4];
    text += kHex[byte & 15];
  }
  return text;
}

}  // namespace terrace
