#include "config/scan.h"

#include <fmt/format.h>

#include "config/document.h"

namespace terrace::config {
namespace {

constexpr int kNestingMax = 16;  // brackets open at once, and parts of one dotted key

// Follows TOML's quoting (TOML 1.0 "String", "Comment") one byte at a time.
class Scanner {
 public:
  explicit Scanner(std::string_view text) : text_(text) {}

  Scan run() {
    result_.begins_in_string.push_back(false);
    while (at_ < text_.size()) step();
    return std::move(result_);
  }

 private:
  bool here(std::string_view token) const { return text_.substr(at_).starts_with(token); }

  void step() {
    if (text_[at_] == '\n') return end_line();
    if (!quote_.empty()) return step_in_string();
    if (text_[at_] == '#') return skip_comment();
    for (const std::string_view quote : {R"(""")", "'''", "\"", "'"}) {
      if (here(quote)) return open(quote);
    }
    step_outside(text_[at_]);
    advance(1);
  }

  void end_line() {
    if (quote_.size() == 1) quote_ = {};  // such a string cannot cross lines; the parser will say so
    if (quote_.empty()) dots_ = 0;
    advance(1);
    line_ += 1;
    column_ = 1;
    result_.begins_in_string.push_back(!quote_.empty());
  }

  void skip_comment() {
    while (at_ < text_.size() && text_[at_] != '\n') advance(1);
  }

  void open(std::string_view quote) {
    quote_ = quote;
    advance(quote.size());
  }

  void step_in_string() {
    if (quote_[0] == '"' && text_[at_] == '\\' && at_ + 1 < text_.size() && text_[at_ + 1] != '\n')
      return advance(2);
    if (!here(quote_)) return advance(1);
    advance(quote_.size());
    quote_ = {};
  }

  void step_outside(char c) {
    if (c == '[' || c == '{') ++brackets_;
    if ((c == ']' || c == '}') && brackets_ > 0) --brackets_;
    if (c == '=' || c == ',' || c == '{' || c == '[') dots_ = 0;
    if (c == '.') ++dots_;
    if ((brackets_ > kNestingMax || dots_ > kNestingMax) && !result_.too_deep)
      result_.too_deep = Position{line_, column_};
  }

  void advance(size_t bytes) {
    for (size_t i = 0; i < bytes && at_ < text_.size(); ++i, ++at_) {
      if ((static_cast<unsigned char>(text_[at_]) & 0xc0) != 0x80) ++column_;
    }
  }

  std::string_view text_;
  size_t at_ = 0;
  int line_ = 1;
  int column_ = 1;
  std::string_view quote_;
  int brackets_ = 0;
  int dots_ = 0;
  Scan result_;
};

Diagnostic too_large(std::string message, Span where = {}) {
  return {.code = "E003", .message = std::move(message), .where = where};
}

}  // namespace

Scan scan(const Source& source) { return Scanner(source.text()).run(); }

std::optional<Diagnostic> over_limits(const Source& source) {
  if (source.text().size() > kFileBytesMax)
    return too_large(fmt::format("the file is larger than {} bytes", kFileBytesMax));
  for (int number = 1; number <= source.lines(); ++number) {
    if (source.line(number).size() > kLineBytesMax)
      return too_large(fmt::format("a line is longer than {} bytes", kLineBytesMax),
                       {{number, 1}, {number, 2}});
  }
  const Scan scanned = scan(source);
  if (!scanned.too_deep) return std::nullopt;
  return too_large(fmt::format("the file nests more than {} levels deep", kNestingMax),
                   {*scanned.too_deep, *scanned.too_deep});
}

}  // namespace terrace::config
