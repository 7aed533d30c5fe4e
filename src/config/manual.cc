#include "config/manual.h"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "config/quantity.h"

namespace terrace::config {
namespace {

// The only character of our texts that plain troff has no input for.
constexpr std::string_view kEllipsis = "…";

std::string range(const Field& field, std::string (*show)(int64_t)) {
  return fmt::format("from {} to {}", show(field.minimum), show(field.maximum));
}

std::string show_duration(int64_t value) {
  return fmt::format("`\"{}\"`", format_duration(std::chrono::milliseconds(value)));
}
std::string show_size(int64_t value) { return fmt::format("`\"{}\"`", format_size(value)); }
std::string show_number(int64_t value) { return std::to_string(value); }

// What may stand behind the key, in words.
struct TypeLine {
  const Field& field;

  std::string operator()(std::monostate) const { return ""; }
  std::string operator()(const std::string*) const {
    return std::string(field.form.what.empty() ? "a string" : field.form.what);
  }
  std::string operator()(const bool*) const { return "`true` or `false`"; }
  std::string operator()(const int*) const { return "a whole number " + range(field, show_number); }
  std::string operator()(const int64_t*) const { return "a size " + range(field, show_size); }
  std::string operator()(const std::chrono::milliseconds*) const {
    return "a duration " + range(field, show_duration);
  }
  std::string operator()(const std::vector<std::string>*) const {
    return fmt::format("a list of up to {} strings, each {}", std::min(field.maximum, kElementsMax),
                       field.form.what);
  }
  std::string operator()(const std::vector<Named>*) const {
    return fmt::format("a table; each key is {}, each value {}", field.name_form.what, field.form.what);
  }
  std::string operator()(const Choice&) const { return "one of"; }
  std::string operator()(const Choices&) const { return "a list of"; }
};

std::span<const Word> words_of(const Field& field) {
  if (const auto* one = std::get_if<Choice>(&field.slot)) return one->words;
  if (const auto* many = std::get_if<Choices>(&field.slot)) return many->words;
  return {};
}

std::string default_of(const Field& field) {
  if (field.required) return "required";
  if (!field.default_words.empty()) return fmt::format("default: {}", field.default_words);
  const std::string value = value_as_toml(field);
  return value.empty() ? "default: none" : fmt::format("default: `{}`", value);
}

// "a whole number from 0 to 256; default: `0`".
std::string summary(const Field& field) {
  std::string line = std::visit(TypeLine{field}, field.slot);
  std::string words;
  for (const Word& word : words_of(field)) {
    if (word.later.empty()) words += fmt::format("{}`\"{}\"`", words.empty() ? " " : ", ", word.text);
  }
  return fmt::format("{}{}; {}", line, words, default_of(field));
}

std::string explain(const Word& word) {
  return word.later.empty() ? std::string(word.about)
                            : fmt::format("{} (comes with {})", word.about, word.later);
}

std::string example_of(const Field& field) { return fmt::format("{} = {}", field.name, field.example); }

void markdown_field(std::string& out, const Field& field) {
  out += fmt::format("**`{}`**: {}\n\n{}\n", field.name, summary(field), field.about);
  if (!words_of(field).empty()) out += '\n';
  for (const Word& word : words_of(field)) out += fmt::format("- `\"{}\"`: {}\n", word.text, explain(word));
  out += fmt::format("\n    {}\n\n", example_of(field));
}

void roff_field(std::string& out, const Field& field) {
  out += fmt::format(".TP\n.B {}\n{}.\n.br\n{}\n", roff_text(field.name), roff_text(summary(field)),
                     roff_text(field.about));
  for (const Word& word : words_of(field))
    out += fmt::format(".br\n{}\n", roff_text(fmt::format("`\"{}\"`: {}", word.text, explain(word))));
  out += fmt::format(".IP\n.EX\n{}\n.EE\n", roff_text(example_of(field)));
}

std::string later_keys(std::span<const Field> fields) {
  std::string list;
  for (const Field& field : fields) {
    if (!field.later.empty())
      list += fmt::format("{}`{}` ({})", list.empty() ? "" : ", ", field.name, field.later);
  }
  return list.empty() ? "" : "Known, and refused until then: " + list + ".";
}

// The fields of a table, or of one of its entries.
std::vector<Field> fields_of(const Table& table) { return table.entry ? table.entry("name") : table.fields; }

std::string entry_line(const Table& table) {
  return table.entry ? fmt::format("Each key is the name of a {}, its value a table with these keys:",
                                   table.entry_word)
                     : "";
}

}  // namespace

std::string markdown_reference(std::span<const Table> tables) {
  std::string out;
  for (const Table& table : tables) {
    out += fmt::format("### `[{}]`\n\n{}", table.name, table.about);
    if (!table.later.empty()) out += fmt::format(" Comes with {}.", table.later);
    out += "\n\n";
    if (!table.later.empty()) continue;
    if (table.entry) out += entry_line(table) + "\n\n";
    const std::vector<Field> fields = fields_of(table);
    for (const Field& field : fields) {
      if (field.later.empty()) markdown_field(out, field);
    }
    const std::string later = later_keys(fields);
    if (!later.empty()) out += later + "\n\n";
  }
  return out;
}

std::string roff_reference(std::span<const Table> tables) {
  std::string out;
  for (const Table& table : tables) {
    out += fmt::format(".SS [{}]\n{}\n", table.name, roff_text(table.about));
    if (!table.later.empty()) out += fmt::format("Comes with {}.\n", table.later);
    if (!table.later.empty()) continue;
    if (table.entry) out += entry_line(table) + "\n";
    const std::vector<Field> fields = fields_of(table);
    for (const Field& field : fields) {
      if (field.later.empty()) roff_field(out, field);
    }
    const std::string later = later_keys(fields);
    if (!later.empty()) out += ".PP\n" + roff_text(later) + "\n";
  }
  return out;
}

std::string roff_text(std::string_view markdown) {
  std::string out;
  bool code = false;
  // A line that begins with these would be a request to troff.
  if (markdown.starts_with('.') || markdown.starts_with('\'')) out = "\\&";
  for (size_t i = 0; i < markdown.size(); ++i) {
    const char c = markdown[i];
    if (markdown.substr(i).starts_with(kEllipsis)) {
      out += "...";
      i += kEllipsis.size() - 1;
    } else if (c == '`') {
      code = !code;
      out += code ? "\\fB" : "\\fR";
    } else if (c == '\\') {
      out += "\\e";
    } else if (c == '-') {
      out += "\\-";
    } else {
      out += c;
    }
  }
  return out;
}

}  // namespace terrace::config
