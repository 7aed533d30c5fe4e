#include "program/table.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>

#include "base/assert.h"
#include "base/log.h"

namespace terrace::program {
namespace {

// Code points; wide characters count as one, which misaligns at worst.
size_t width_of(std::string_view text) {
  return static_cast<size_t>(
      std::ranges::count_if(text, [](char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; }));
}

bool to_the_right(std::string_view column) { return column.starts_with('>'); }

std::string_view title_of(std::string_view column) {
  return to_the_right(column) ? column.substr(1) : column;
}

}  // namespace

std::string coloured(std::string_view text, Colour colour, bool colours) {
  constexpr std::array<std::string_view, 6> kCodes = {"", "1", "32", "33", "31", "90"};
  if (!colours || colour == Colour::kNone || text.empty()) return std::string(text);
  std::string out = "\x1b[";
  out += kCodes[static_cast<size_t>(colour)];
  out += 'm';
  out += text;
  return out + "\x1b[0m";
}

bool wants_colours() {
  const char* no = std::getenv("NO_COLOR");
  const char* terminal = std::getenv("TERM");
  const bool dumb = terminal == nullptr || std::string_view(terminal) == "dumb";
  return isatty(STDOUT_FILENO) == 1 && !dumb && (no == nullptr || *no == '\0');
}

std::string printable(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    const size_t length = utf8_length(text);
    const auto c = static_cast<unsigned char>(text[0]);
    const bool control =
        c < 0x20 || c == 0x7f || (c == 0xc2 && length == 2 && static_cast<unsigned char>(text[1]) < 0xa0);
    if (c == '\t') {
      out += ' ';
    } else if (length == 0 || control) {
      out += "\xef\xbf\xbd";
    } else {
      out += text.substr(0, length);
    }
    text.remove_prefix(std::max<size_t>(length, 1));
  }
  return out;
}

std::vector<size_t> Table::widths() const {
  std::vector<size_t> widths;
  for (size_t i = 0; i < columns_.size(); ++i) {
    size_t width = width_of(title_of(columns_[i]));
    for (const Row& row : rows_) width = std::max(width, width_of(row.cells[i].text));
    widths.push_back(width);
  }
  return widths;
}

void Table::append(std::string& out, const std::vector<Cell>& cells, const std::vector<size_t>& widths,
                   bool colours) const {
  ASSERT(cells.size() == columns_.size());
  std::string line;
  for (size_t i = 0; i < cells.size(); ++i) {
    const std::string blanks(widths[i] - width_of(cells[i].text), ' ');
    const bool last = i + 1 == cells.size();
    if (to_the_right(columns_[i])) line += blanks;
    line += coloured(cells[i].text, cells[i].colour, colours);
    if (!to_the_right(columns_[i]) && !last) line += blanks;
    if (!last) line += "  ";
  }
  line.erase(line.find_last_not_of(' ') + 1);
  out += line;
  out += '\n';
}

std::string Table::text(bool colours) const {
  const std::vector<size_t> all = widths();
  std::vector<Cell> titles;
  titles.reserve(columns_.size());
  for (const std::string& column : columns_)
    titles.emplace_back(std::string(title_of(column)), Colour::kGrey);
  std::string out;
  append(out, titles, all, colours);
  for (const Row& row : rows_) {
    append(out, row.cells, all, colours);
    for (const std::string& note : row.notes) out += "    " + note + "\n";
  }
  return out;
}

}  // namespace terrace::program
