#include "config/unparsed.h"

#include <algorithm>
#include <string>
#include <string_view>

#include "config/scan.h"
#include "config/suggest.h"

namespace terrace::config {
namespace {

constexpr int kLineEnd = 1 << 30;  // beyond any column

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view kBlank = " \t\"'";
  const size_t begin = text.find_first_not_of(kBlank);
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(kBlank) - begin + 1);
}

// The name in "[app]" or "[[app]]", or of the last such line above `number`.
std::string table_of(const Source& source, const std::vector<bool>& in_string, int number) {
  for (; number >= 1; --number) {
    std::string_view line = trimmed(source.line(number));
    if (in_string[static_cast<size_t>(number - 1)] || !line.starts_with('[')) continue;
    line.remove_prefix(line.find_first_not_of('[') == std::string_view::npos ? line.size()
                                                                             : line.find_first_not_of('['));
    return std::string(trimmed(line.substr(0, line.find(']'))));
  }
  return {};
}

const Field* find_path(std::span<const Table> tables, std::string_view path) {
  const size_t dot = path.find('.');
  if (dot == std::string_view::npos) return nullptr;
  const auto table = std::ranges::find(tables, trimmed(path.substr(0, dot)), &Table::name);
  if (table == tables.end()) return nullptr;
  const auto field = std::ranges::find(table->fields, trimmed(path.substr(dot + 1)), &Field::name);
  return field != table->fields.end() ? &*field : nullptr;
}

bool holds_secrets(std::span<const Table> tables, std::string_view name) {
  const auto table = std::ranges::find(tables, name, &Table::name);
  return table == tables.end() || !table->later.empty() || std::ranges::any_of(table->fields, &Field::secret);
}

// The first column (from 1) that may belong to a secret; kLineEnd: none.
int secret_from(std::span<const Table> tables, std::string_view line, const std::string& table) {
  const auto column = [&](size_t bytes) { return static_cast<int>(bytes) + 1; };
  if (trimmed(line).starts_with('[')) {
    const size_t close = line.find(']');
    return close == std::string_view::npos ? kLineEnd : column(close + 1);
  }
  const size_t equals = line.find('=');
  if (equals == std::string_view::npos) return holds_secrets(tables, table) ? 1 : kLineEnd;
  const std::string key(trimmed(line.substr(0, equals)));
  const Field* field = find_path(tables, table.empty() ? key : table + "." + key);
  const bool one = line.find('=', equals + 1) == std::string_view::npos;
  if (field != nullptr && !field->secret && field->later.empty() && one) return kLineEnd;
  const size_t value = line.find_first_not_of(" \t", equals + 1);
  return value == std::string_view::npos ? kLineEnd : column(value);
}

// Bytes to columns: keys are ASCII wherever it matters, but a line may begin with
// anything.
int column_of(std::string_view line, int byte) {
  if (byte == kLineEnd) return kLineEnd;
  int column = 1;
  while (byte > 1 && !line.empty()) {
    const size_t bytes = first_code_point(line).bytes;
    byte -= static_cast<int>(bytes);
    line.remove_prefix(bytes);
    ++column;
  }
  return column;
}

// Drops a quoted piece of more than one character: it is the file's.
void drop_quotes(std::string& text) {
  const size_t open = text.find('\'');
  const size_t close = text.rfind('\'');
  if (open != std::string::npos && close > open + 2)
    text = text.substr(0, open) + "…" + text.substr(close + 1);
}

}  // namespace

void hide_unparsed(std::span<const Table> tables, Source& source, Diagnostic& diagnostic) {
  const int number = diagnostic.where.begin.line;
  if (!diagnostic.where.known()) return;
  const std::vector<bool> in_string = scan(source).begins_in_string;
  const std::string_view line = source.line(number);
  int from = 1;
  if (number <= source.lines() && !in_string[static_cast<size_t>(number - 1)])
    from = column_of(line, secret_from(tables, line, table_of(source, in_string, number)));
  if (from == kLineEnd) return;
  source.hide({{number, from}, {number, kLineEnd}});
  drop_quotes(diagnostic.label);
}

}  // namespace terrace::config
