#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>

namespace terrace::lb {

// The most backends of one pool.
constexpr size_t kBackendsMax = 64;

// Some backends of one pool, by their position. A value of one word: a request carries
// the set of those that it was tried with.
class BackendSet {
 public:
  constexpr BackendSet() = default;
  static constexpr BackendSet first(size_t count) {
    return BackendSet(count >= kBackendsMax ? ~uint64_t{0} : (uint64_t{1} << count) - 1);
  }

  constexpr void add(size_t position) { bits_ |= uint64_t{1} << position; }
  constexpr void remove(size_t position) { bits_ &= ~(uint64_t{1} << position); }
  constexpr void set(size_t position, bool member) { member ? add(position) : remove(position); }
  constexpr bool contains(size_t position) const { return (bits_ >> position & 1) != 0; }
  constexpr bool empty() const { return bits_ == 0; }
  constexpr size_t size() const { return static_cast<size_t>(std::popcount(bits_)); }
  // The lowest position; the set is not empty.
  constexpr size_t front() const { return static_cast<size_t>(std::countr_zero(bits_)); }
  constexpr BackendSet without(BackendSet other) const { return BackendSet(bits_ & ~other.bits_); }
  constexpr BackendSet operator&(BackendSet other) const { return BackendSet(bits_ & other.bits_); }
  constexpr BackendSet operator|(BackendSet other) const { return BackendSet(bits_ | other.bits_); }
  constexpr bool operator==(const BackendSet&) const = default;

  // Positions in rising order. The set may change meanwhile; the loop goes over a copy.
  class Iterator {
   public:
    constexpr explicit Iterator(uint64_t rest) : rest_(rest) {}
    constexpr size_t operator*() const { return static_cast<size_t>(std::countr_zero(rest_)); }
    constexpr Iterator& operator++() {
      rest_ &= rest_ - 1;
      return *this;
    }
    constexpr bool operator==(const Iterator&) const = default;

   private:
    uint64_t rest_;
  };
  constexpr Iterator begin() const { return Iterator(bits_); }
  constexpr Iterator end() const { return Iterator(0); }

 private:
  constexpr explicit BackendSet(uint64_t bits) : bits_(bits) {}
  uint64_t bits_ = 0;
};

}  // namespace terrace::lb
