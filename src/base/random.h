#pragma once

#include <cstdint>
#include <string>

namespace terrace {

// Fast pseudo-random numbers (xoshiro256**, Blackman and Vigna 2018) for
// balancing, jitter and request ids. Not for secrets. One per core; a test
// passes a seed and gets the same numbers again.
class Random {
 public:
  explicit Random(uint64_t seed);
  uint64_t next();
  // Uniform in [0, bound); bound > 0.
  uint64_t below(uint64_t bound);

 private:
  uint64_t state_[4];
};

// A seed from the kernel (getrandom(2)).
uint64_t random_seed();

// `bytes` bytes from the kernel in hexadecimal: for secrets and tokens.
std::string random_secret(int bytes);

}  // namespace terrace
