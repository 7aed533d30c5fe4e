#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace terrace::config {

// A place in a text. Lines and columns count from 1; a column is one code point,
// whatever its width on a terminal; a tab is one column. Line 0: nowhere.
struct Position {
  int line = 0;
  int column = 0;
  auto operator<=>(const Position&) const = default;
};

// From `begin` up to, not including, `end`.
struct Span {
  Position begin;
  Position end;
  bool known() const { return begin.line > 0; }
};

// A file that a person wrote, kept to show lines of it in messages. Spans that
// hold secrets are hidden first; from then on no excerpt shows a byte of them.
class Source {
 public:
  // One line as a terminal shows it: tabs are four blanks, control bytes and
  // bytes that are not UTF-8 are U+FFFD, hidden spans are `***`. Long lines are
  // cut around the carets.
  struct Excerpt {
    std::string text;
    int caret_offset = 0;  // in terminal cells
    int caret_width = 1;
  };

  Source(std::string name, std::string text);

  const std::string& name() const { return name_; }
  const std::string& text() const { return text_; }
  int lines() const { return static_cast<int>(starts_.size()); }
  std::string_view line(int number) const;  // without its line end; empty outside of the file
  void hide(const Span& span) { hidden_.push_back(span); }
  // The line of `span.begin`, with carets for the part of `span` on that line.
  Excerpt excerpt(const Span& span) const;

 private:
  // Per column of the line, from 0: whether it is hidden.
  std::vector<bool> hidden_columns(int number) const;

  std::string name_;
  std::string text_;
  std::vector<size_t> starts_;  // offset of each line in text_
  std::vector<Span> hidden_;
};

// The bytes of the code point that `text` begins with, at least 1; `valid` says
// whether they are UTF-8.
struct CodePoint {
  char32_t value = 0xfffd;
  size_t bytes = 1;
  bool valid = false;
};
CodePoint first_code_point(std::string_view text);

// Text of a file inside a message: what a terminal would obey is U+FFFD.
std::string printable(std::string_view text);

}  // namespace terrace::config
