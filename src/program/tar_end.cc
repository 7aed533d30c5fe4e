#include "program/tar_end.h"

#include <algorithm>
#include <cstring>
#include <optional>

namespace terrace::program {
namespace {

constexpr size_t kSizeAt = 124;
constexpr size_t kSizeBytes = 12;
constexpr size_t kSumAt = 148;
constexpr size_t kSumBytes = 8;
constexpr size_t kTypeAt = 156;
constexpr uint64_t kSizeMax = uint64_t{1} << 50;

// Octal digits; or, with the first bit set, binary (GNU tar, for 8 GiB and above).
std::optional<uint64_t> number_in(std::string_view field) {
  uint64_t value = 0;
  if ((field.front() & 0x80) != 0) {
    value = static_cast<unsigned char>(field.front()) & 0x7f;
    for (const char c : field.substr(1)) {
      if (value > kSizeMax) return std::nullopt;
      value = value << 8 | static_cast<unsigned char>(c);
    }
    return value;
  }
  for (const char c : field.substr(std::min(field.find_first_not_of(' '), field.size()))) {
    if (c == ' ' || c == '\0') return value;
    if (c < '0' || c > '7') return std::nullopt;
    value = value * 8 + static_cast<uint64_t>(c - '0');
  }
  return value;
}

// The sum of all bytes, those of the sum itself counted as blanks.
uint64_t sum_of(std::string_view block) {
  uint64_t sum = kSumBytes * ' ';
  for (size_t i = 0; i < block.size(); ++i) {
    if (i < kSumAt || i >= kSumAt + kSumBytes) sum += static_cast<unsigned char>(block[i]);
  }
  return sum;
}

// Links and folders have no content, whatever their size field says.
bool has_content(char type) { return type < '1' || type > '6'; }

}  // namespace

Result<void> TarEnd::take_block() {
  const std::string_view block(block_.data(), block_.size());
  if (block.find_first_not_of('\0') == std::string_view::npos) {
    ++zero_blocks_;
    return {};
  }
  zero_blocks_ = 0;
  const auto sum = number_in(block.substr(kSumAt, kSumBytes));
  const auto size = number_in(block.substr(kSizeAt, kSizeBytes));
  if (!sum || !size || *sum != sum_of(block) || *size > kSizeMax)
    return fail(Code::kInvalid, "tar", "this is no tar archive");
  const char type = block[kTypeAt];
  if (has_content(type)) skip_ = (*size + kBlock - 1) / kBlock * kBlock;
  // Headers about the entry that follows (pax, GNU) are none themselves.
  if (type != 'x' && type != 'g' && type != 'L' && type != 'K') ++entries_;
  return {};
}

Result<void> TarEnd::add(std::string_view bytes) {
  while (!bytes.empty() && !complete()) {
    if (skip_ > 0) {
      const size_t part = static_cast<size_t>(std::min<uint64_t>(skip_, bytes.size()));
      skip_ -= part;
      bytes.remove_prefix(part);
      continue;
    }
    const size_t part = std::min(kBlock - have_, bytes.size());
    std::memcpy(block_.data() + have_, bytes.data(), part);
    have_ += part;
    bytes.remove_prefix(part);
    if (have_ < kBlock) continue;
    have_ = 0;
    if (Result<void> taken = take_block(); !taken) return taken;
  }
  return {};
}

}  // namespace terrace::program
