#include "http/syntax.h"

#include <cstring>

namespace terrace::http {
namespace {

// 16 bytes at once; the compiler makes SSE2 or NEON of it.
using Block = uint8_t __attribute__((vector_size(16)));

Block block_at(const char* at) {
  Block block;
  memcpy(&block, at, sizeof block);
  return block;
}

// A block of two words that may overlap in the text: for 8 to 15 bytes.
Block block_of_ends(std::string_view text) {
  Block block;
  memcpy(&block, text.data(), 8);
  memcpy(reinterpret_cast<char*>(&block) + 8, text.data() + text.size() - 8, 8);
  return block;
}

bool is_zero(Block block) {
  uint64_t words[2];
  memcpy(words, &block, sizeof words);
  return (words[0] | words[1]) == 0;
}

Block bad_value_bytes(Block block) {
  return static_cast<Block>(((block < 0x20) & (block != '\t')) | (block == 0x7f));
}

Block bad_target_bytes(Block block) {
  return static_cast<Block>((block <= 0x20) | (block >= 0x7f) | (block == '#'));
}

// True when no byte is bad. The last block overlaps the one before it, so that
// no tail is left to look at byte by byte.
template <Block (*kBad)(Block), bool (*kGood)(char)>
bool all_good(std::string_view text) {
  if (text.size() < 8) {
    for (const char c : text) {
      if (!kGood(c)) return false;
    }
    return true;
  }
  if (text.size() < sizeof(Block)) return is_zero(kBad(block_of_ends(text)));
  const char* at = text.data();
  const char* last = at + text.size() - sizeof(Block);
  Block bad = kBad(block_at(last));
  for (; at < last; at += sizeof(Block)) bad |= kBad(block_at(at));
  return is_zero(bad);
}

constexpr char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c; }

}  // namespace

bool is_value(std::string_view text) { return all_good<bad_value_bytes, is_value_byte>(text); }

bool is_target(std::string_view text) { return all_good<bad_target_bytes, is_target_byte>(text); }

bool equals_ignoring_case(std::string_view a, std::string_view b) {
  if (a.size() != b.size()) return false;
  for (size_t i = 0; i < a.size(); i++) {
    if (lower(a[i]) != lower(b[i])) return false;
  }
  return true;
}

std::string_view next_element(std::string_view& list) {
  const size_t comma = list.find(',');
  const std::string_view element = list.substr(0, comma);
  list.remove_prefix(comma == std::string_view::npos ? list.size() : comma + 1);
  return trim(element);
}

}  // namespace terrace::http
