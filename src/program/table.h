#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace terrace::program {

enum class Colour : uint8_t { kNone, kBold, kGreen, kYellow, kRed, kGrey };

// `text` with the terminal's codes around it when `colours` are wanted.
std::string coloured(std::string_view text, Colour colour, bool colours);

// Whether standard output is a terminal that shows colours (https://no-color.org).
bool wants_colours();

// `text` without control bytes and what is not UTF-8, so that what an application
// printed cannot steer the terminal.
std::string printable(std::string_view text);

// Columns of text, as wide as their widest cell, two blanks between them.
class Table {
 public:
  struct Cell {
    Cell(std::string t, Colour c = Colour::kNone)
        : text(std::move(t)), colour(c) {}  // NOLINT: cells are texts
    Cell(const char* t) : text(t) {}        // NOLINT
    std::string text;
    Colour colour = Colour::kNone;
  };
  // A column whose name starts with `>` is aligned to the right.
  explicit Table(std::vector<std::string> columns) : columns_(std::move(columns)) {}

  // As many cells as columns.
  void row(std::vector<Cell> cells) { rows_.push_back({std::move(cells), {}}); }
  // A line of its own below the last row.
  void note(std::string text) { rows_.back().notes.push_back(std::move(text)); }

  std::string text(bool colours) const;

 private:
  struct Row {
    std::vector<Cell> cells;
    std::vector<std::string> notes;
  };
  std::vector<size_t> widths() const;
  void append(std::string& out, const std::vector<Cell>& cells, const std::vector<size_t>& widths,
              bool colours) const;

  std::vector<std::string> columns_;
  std::vector<Row> rows_;
};

}  // namespace terrace::program
