#include "monitor/escape.h"

#include <cstdint>
#include <cstring>

#include "base/log.h"

namespace terrace::monitor {
namespace {

constexpr uint64_t kOnes = 0x0101010101010101;
constexpr uint64_t kHighs = 0x8080808080808080;

// Not zero when a byte of `word` is zero (Mycroft's test; a false positive above
// a true one does no harm here).
constexpr uint64_t zero_byte(uint64_t word) { return (word - kOnes) & ~word & kHighs; }

// Whether eight bytes need no escape: visible ASCII or space, no quote, no backslash.
bool plain(uint64_t word) {
  const uint64_t controls = (word - kOnes * 0x20) & ~word;
  const uint64_t quotes = zero_byte(word ^ (kOnes * '"'));
  const uint64_t backslashes = zero_byte(word ^ (kOnes * '\\'));
  const uint64_t deletes = zero_byte(word ^ (kOnes * 0x7f));
  return (((word | controls | quotes | backslashes | deletes) & kHighs)) == 0;
}

constexpr bool plain_byte(unsigned char c) { return c >= 0x20 && c < 0x7f && c != '"' && c != '\\'; }

char* append_text(char* out, std::string_view text) {
  std::memcpy(out, text.data(), text.size());
  return out + text.size();
}

char* append_unicode_escape(char* out, unsigned char c) {
  constexpr std::string_view kHex = "0123456789abcdef";
  out = append_text(out, "\\u00");
  *out++ = kHex[c >> 4];
  *out++ = kHex[c & 15];
  return out;
}

// Whether `text` starts with a C1 control, U+0080 to U+009F.
bool c1_control(std::string_view text) {
  return text[0] == '\xc2' && static_cast<unsigned char>(text[1]) < 0xa0;
}

// Writes the first character of `text` and takes it off.
char* append_character(char* out, std::string_view& text) {
  const auto c = static_cast<unsigned char>(text[0]);
  const size_t length = utf8_length(text);
  if (length == 0) {
    out = append_text(out, "\xef\xbf\xbd");
  } else if (c == '"' || c == '\\') {
    *out++ = '\\';
    *out++ = static_cast<char>(c);
  } else if (c < 0x20 || c == 0x7f) {
    out = append_unicode_escape(out, c);
  } else if (length == 2 && c1_control(text)) {
    out = append_unicode_escape(out, static_cast<unsigned char>(text[1]));
  } else {
    out = append_text(out, text.substr(0, length));
  }
  text.remove_prefix(length == 0 ? 1 : length);
  return out;
}

// `text` up to `bytes_max` bytes, not ending within a UTF-8 character.
std::string_view cut(std::string_view text, size_t bytes_max) {
  size_t end = bytes_max;
  while (end > 0 && end + 3 > bytes_max && (static_cast<unsigned char>(text[end]) & 0xc0) == 0x80) --end;
  return text.substr(0, end);
}

}  // namespace

char* append_escaped(char* out, std::string_view text, size_t bytes_max) {
  const bool too_long = text.size() > bytes_max;
  if (too_long) text = cut(text, bytes_max);
  while (!text.empty()) {
    uint64_t word = 0;
    while (text.size() >= sizeof word) {
      std::memcpy(&word, text.data(), sizeof word);
      if (!plain(word)) break;
      std::memcpy(out, &word, sizeof word);
      out += sizeof word;
      text.remove_prefix(sizeof word);
    }
    // The rest of the text, or what needs care and some bytes around it.
    for (size_t i = 0; i < sizeof word && !text.empty(); ++i) {
      if (plain_byte(static_cast<unsigned char>(text[0]))) {
        *out++ = text[0];
        text.remove_prefix(1);
      } else {
        out = append_character(out, text);
      }
    }
  }
  return too_long ? append_text(out, kCut) : out;
}

char* append_word(char* out, std::string_view text, size_t bytes_max) {
  if (text.empty()) return append_text(out, "-");
  for (const char c : text.substr(0, bytes_max)) {
    const bool visible = c > ' ' && c < 0x7f && c != '"' && c != '\\';
    *out++ = visible ? c : '?';
  }
  return out;
}

}  // namespace terrace::monitor
