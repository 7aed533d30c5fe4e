#include "config/diagnostic.h"

#include <fmt/format.h>

#include <algorithm>
#include <tuple>

#include "base/log.h"

namespace terrace::config {
namespace {

const char* name_of(Severity severity) { return severity == Severity::kError ? "error" : "warning"; }

std::string place(const Diagnostic& diagnostic, const Source& source) {
  if (!diagnostic.where.known()) return source.name();
  return fmt::format("{}:{}:{}", source.name(), diagnostic.where.begin.line, diagnostic.where.begin.column);
}

void append_source(std::string& out, const Diagnostic& diagnostic, const Source& source, size_t gutter) {
  const Source::Excerpt excerpt = source.excerpt(diagnostic.where);
  const std::string blank(gutter, ' ');
  out += fmt::format("{} |\n", blank);
  out += fmt::format("{} |", diagnostic.where.begin.line);
  if (!excerpt.text.empty()) out += " " + excerpt.text;
  out += fmt::format("\n{} | {}{}", blank, std::string(static_cast<size_t>(excerpt.caret_offset), ' '),
                     std::string(static_cast<size_t>(excerpt.caret_width), '^'));
  if (!diagnostic.label.empty()) out += " " + printable(diagnostic.label);
  out += '\n';
}

void append_text(std::string& out, const Diagnostic& diagnostic, const Source& source) {
  const bool known = diagnostic.where.known();
  const size_t gutter = known ? std::to_string(diagnostic.where.begin.line).size() : 1;
  const std::string blank(gutter, ' ');
  out += fmt::format("{}[{}]: {}\n", name_of(diagnostic.severity), diagnostic.code,
                     printable(diagnostic.message));
  out += fmt::format("{}--> {}\n", blank, place(diagnostic, source));
  if (known) append_source(out, diagnostic, source, gutter);
  if (!known && !diagnostic.label.empty())
    out += fmt::format("{} = {}\n", blank, printable(diagnostic.label));
  for (const std::string& note : diagnostic.notes) out += fmt::format("{} = {}\n", blank, printable(note));
  out += '\n';
}

std::string quoted(std::string_view text) {
  std::string out = "\"";
  append_json_escaped(out, text);
  return out + "\"";
}

std::string as_json(const Diagnostic& diagnostic) {
  std::string notes;
  for (const std::string& note : diagnostic.notes) notes += (notes.empty() ? "" : ", ") + quoted(note);
  return fmt::format(
      R"({{"code": {}, "severity": {}, "message": {}, "line": {}, "column": {}, "end_line": {}, )"
      R"("end_column": {}, "label": {}, "notes": [{}]}})",
      quoted(diagnostic.code), quoted(name_of(diagnostic.severity)), quoted(diagnostic.message),
      diagnostic.where.begin.line, diagnostic.where.begin.column, diagnostic.where.end.line,
      diagnostic.where.end.column, quoted(diagnostic.label), notes);
}

std::string counted(size_t count, std::string_view word) {
  return fmt::format("{} {}{}", count, word, count == 1 ? "" : "s");
}

std::string total(const Diagnostics& diagnostics) {
  std::string line;
  if (diagnostics.errors() > 0) line = counted(diagnostics.errors(), "error");
  if (diagnostics.warnings() > 0)
    line += (line.empty() ? "" : ", ") + counted(diagnostics.warnings(), "warning");
  if (diagnostics.dropped() > 0) line += fmt::format("; the first {} are shown", Diagnostics::kMax);
  return line;
}

}  // namespace

void Diagnostics::add(Diagnostic diagnostic) {
  (diagnostic.severity == Severity::kError ? errors_ : warnings_) += 1;
  if (all_.size() < kMax) all_.push_back(std::move(diagnostic));
}

void Diagnostics::sort() {
  std::ranges::sort(all_, {}, [](const Diagnostic& d) { return std::tie(d.where.begin, d.code, d.message); });
}

std::string render_text(const Diagnostics& diagnostics, const Source& source) {
  if (diagnostics.all().empty()) return {};
  std::string out;
  for (const Diagnostic& diagnostic : diagnostics.all()) append_text(out, diagnostic, source);
  return out + total(diagnostics) + "\n";
}

std::string render_json(const Diagnostics& diagnostics, const Source& source) {
  std::string findings;
  for (const Diagnostic& diagnostic : diagnostics.all())
    findings += (findings.empty() ? "\n  " : ",\n  ") + as_json(diagnostic);
  return fmt::format("{{\"file\": {}, \"errors\": {}, \"warnings\": {}, \"findings\": [{}{}]}}\n",
                     quoted(source.name()), diagnostics.errors(), diagnostics.warnings(), findings,
                     findings.empty() ? "" : "\n");
}

}  // namespace terrace::config
