#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace terrace::web {

// Content codings that we can send, the better one later: at equal weight the
// later is chosen (RFC 9110 section 8.4.1, RFC 7932, RFC 8878).
enum class Coding : uint8_t { kIdentity, kGzip, kZstd, kBrotli };
constexpr size_t kCodings = 4;

// As in Content-Encoding and Accept-Encoding.
std::string_view coding_name(Coding coding);
// What is appended to a file's name for a sibling compressed beforehand; "" for identity.
std::string_view coding_suffix(Coding coding);

// A set of codings, as bits.
class CodingSet {
 public:
  constexpr CodingSet() = default;
  constexpr void add(Coding coding) { bits_ |= bit(coding); }
  constexpr void remove(Coding coding) { bits_ &= static_cast<uint8_t>(~bit(coding)); }
  constexpr bool has(Coding coding) const { return (bits_ & bit(coding)) != 0; }

 private:
  static constexpr uint8_t bit(Coding coding) {
    return static_cast<uint8_t>(1u << static_cast<uint8_t>(coding));
  }
  uint8_t bits_ = 0;
};

// The Accept-Encoding of a request (RFC 9110 section 12.5.3): add() each field
// line, then ask.
class AcceptEncoding {
 public:
  void add(std::string_view value);

  // In thousandths; 0 is "not acceptable". Identity that is not named is acceptable
  // and comes after whatever is named.
  int weight(Coding coding) const;
  // The heaviest of `available`, the better one at equal weight; with `preferred`
  // (siblings that cost nothing) before better ones. kIdentity when nothing fits:
  // check weight() then.
  Coding choose(CodingSet available, CodingSet preferred) const;

 private:
  void add_element(std::string_view element);
  static constexpr int16_t kUnnamed = -1;
  std::array<int16_t, kCodings> weights_ = {kUnnamed, kUnnamed, kUnnamed, kUnnamed};
  int16_t any_ = kUnnamed;  // of `*`
};

}  // namespace terrace::web
