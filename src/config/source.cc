#include "config/source.h"

#include <algorithm>
#include <array>
#include <climits>
#include <span>

namespace terrace::config {
namespace {

constexpr int kTabWidth = 4;
constexpr int kShownMax = 140;     // cells of one line
constexpr int kBeforeCarets = 50;  // cells kept in front of the carets of a longer line

struct Range {
  char32_t first;
  char32_t last;
};

// What moves the cursor by two cells: East Asian Wide and Fullwidth, and emoji
// (Unicode Standard Annex 11), in the blocks where all or nearly all are wide.
constexpr std::array<Range, 11> kWide{{{0x1100, 0x115f},
                                       {0x2e80, 0x303e},
                                       {0x3041, 0x33ff},
                                       {0x3400, 0x4dbf},
                                       {0x4e00, 0x9fff},
                                       {0xa000, 0xa4cf},
                                       {0xac00, 0xd7a3},
                                       {0xf900, 0xfaff},
                                       {0xff00, 0xff60},
                                       {0x1f300, 0x1faff},
                                       {0x20000, 0x3fffd}}};

// What does not move the cursor: combining marks and joiners.
constexpr std::array<Range, 7> kZero{{{0x0300, 0x036f},
                                      {0x0483, 0x0489},
                                      {0x0591, 0x05bd},
                                      {0x200b, 0x200d},
                                      {0x20d0, 0x20ff},
                                      {0xfe00, 0xfe0f},
                                      {0xfe20, 0xfe2f}}};

// Would change how a terminal shows the rest of the line: control characters and
// the marks that reverse the direction of writing.
constexpr std::array<Range, 6> kUnsafe{{{0x0000, 0x001f},
                                        {0x007f, 0x009f},
                                        {0x061c, 0x061c},
                                        {0x200e, 0x200f},
                                        {0x2028, 0x202e},
                                        {0x2066, 0x2069}}};

bool in_any(char32_t value, std::span<const Range> ranges) {
  return std::ranges::any_of(ranges, [&](const Range& r) { return value >= r.first && value <= r.last; });
}

struct Cell {
  std::string text;
  int width = 1;
};

Cell shown(const CodePoint& point, std::string_view bytes) {
  if (point.value == '\t') return {std::string(kTabWidth, ' '), kTabWidth};
  if (!point.valid || in_any(point.value, kUnsafe)) return {"\xef\xbf\xbd", 1};
  if (in_any(point.value, kZero)) return {std::string(bytes), 0};
  return {std::string(bytes), in_any(point.value, kWide) ? 2 : 1};
}

int width_of(std::span<const Cell> cells) {
  int width = 0;
  for (const Cell& cell : cells) width += cell.width;
  return width;
}

// Keeps the cells around [begin, end), so that a person sees the carets and what
// stands before them.
Source::Excerpt window(std::span<const Cell> cells, size_t begin, size_t end) {
  size_t first = 0;
  size_t last = cells.size();
  if (width_of(cells) > kShownMax) {
    first = begin > kBeforeCarets ? begin - kBeforeCarets : 0;
    last = std::min(cells.size(), first + kShownMax);
  }
  Source::Excerpt excerpt;
  if (first > 0) excerpt.text = "…";
  for (const Cell& cell : cells.subspan(first, last - first)) excerpt.text += cell.text;
  if (last < cells.size()) excerpt.text += "…";
  while (!excerpt.text.empty() && excerpt.text.back() == ' ') excerpt.text.pop_back();
  begin = std::clamp(begin, first, last);
  end = std::clamp(end, begin, last);
  excerpt.caret_offset = (first > 0 ? 1 : 0) + width_of(cells.subspan(first, begin - first));
  excerpt.caret_width = std::max(1, width_of(cells.subspan(begin, end - begin)));
  return excerpt;
}

}  // namespace

CodePoint first_code_point(std::string_view text) {
  const auto byte = [&](size_t i) { return i < text.size() ? static_cast<unsigned char>(text[i]) : 0u; };
  const unsigned lead = byte(0);
  if (lead < 0x80) return {static_cast<char32_t>(lead), 1, true};
  const size_t length = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
  if (lead < 0xc2 || lead > 0xf4) return {};
  char32_t value = lead & (0xffu >> (length + 1));
  for (size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xc0) != 0x80) return {};
    value = value << 6 | (byte(i) & 0x3f);
  }
  const bool overlong = (length == 3 && value < 0x800) || (length == 4 && value < 0x10000);
  if (overlong || value > 0x10ffff || (value >= 0xd800 && value <= 0xdfff)) return {};
  return {value, length, true};
}

std::string printable(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    const CodePoint point = first_code_point(text);
    const bool safe = point.valid && !in_any(point.value, kUnsafe);
    out += safe ? text.substr(0, point.bytes) : "\xef\xbf\xbd";
    text.remove_prefix(point.bytes);
  }
  return out;
}

Source::Source(std::string name, std::string text) : name_(std::move(name)), text_(std::move(text)) {
  starts_.push_back(0);
  for (size_t i = 0; i < text_.size(); ++i) {
    if (text_[i] == '\n') starts_.push_back(i + 1);
  }
}

std::string_view Source::line(int number) const {
  if (number < 1 || number > lines()) return {};
  const size_t begin = starts_[static_cast<size_t>(number - 1)];
  const size_t end = number < lines() ? starts_[static_cast<size_t>(number)] - 1 : text_.size();
  std::string_view line = std::string_view(text_).substr(begin, end - begin);
  if (line.ends_with('\r')) line.remove_suffix(1);
  return line;
}

std::vector<bool> Source::hidden_columns(int number) const {
  std::vector<bool> hidden(line(number).size());
  for (const Span& span : hidden_) {
    if (span.begin.line > number || span.end.line < number) continue;
    const int begin = span.begin.line < number ? 1 : span.begin.column;
    const int end = span.end.line > number ? INT_MAX : span.end.column;
    for (int column = begin; column < end && column <= std::ssize(hidden); ++column)
      hidden[static_cast<size_t>(column - 1)] = true;
  }
  return hidden;
}

Source::Excerpt Source::excerpt(const Span& span) const {
  std::string_view rest = line(span.begin.line);
  const std::vector<bool> hidden = hidden_columns(span.begin.line);
  std::vector<Cell> cells;
  size_t begin = 0;
  size_t end = 0;
  Position at = span.begin;
  for (at.column = 1; !rest.empty(); ++at.column) {
    const CodePoint point = first_code_point(rest);
    const auto index = static_cast<size_t>(at.column - 1);
    // A hidden stretch is one cell, so that not even its length is told; what
    // begins or ends inside of it has its carets under the whole.
    const bool inside = hidden[index] && index > 0 && hidden[index - 1];
    if (at.column <= span.begin.column) begin = cells.size() - (inside ? 1 : 0);
    if (!hidden[index]) cells.push_back(shown(point, rest.substr(0, point.bytes)));
    if (hidden[index] && !inside) cells.push_back({"***", 3});
    if (at < span.end) end = cells.size();
    rest.remove_prefix(point.bytes);
  }
  if (at.column <= span.begin.column) begin = cells.size();
  return window(cells, begin, std::max(begin, end));
}

}  // namespace terrace::config
