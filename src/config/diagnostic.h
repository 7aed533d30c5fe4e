#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "config/source.h"

namespace terrace::config {

enum class Severity : uint8_t { kError, kWarning };

// One thing that is wrong with a file, in words for the person who wrote it.
// No text of it ever holds a secret or what `${…}` stands for.
struct Diagnostic {
  std::string code;  // stable, of the table in docs/site-file.md: "E012"
  Severity severity = Severity::kError;
  std::string message;
  Span where;                      // unknown: the file as a whole
  std::string label;               // behind the carets
  std::vector<std::string> notes;  // a line `= …` each
};

// All that was found in one file. Keeps the first kMax and counts the rest.
class Diagnostics {
 public:
  static constexpr size_t kMax = 100;

  void add(Diagnostic diagnostic);
  // Into the order of the file.
  void sort();
  const std::vector<Diagnostic>& all() const { return all_; }
  size_t errors() const { return errors_; }
  size_t warnings() const { return warnings_; }
  size_t dropped() const { return errors_ + warnings_ - all_.size(); }

 private:
  std::vector<Diagnostic> all_;
  size_t errors_ = 0;
  size_t warnings_ = 0;
};

// As on the terminal, each followed by an empty line, and one last line that counts.
std::string render_text(const Diagnostics& diagnostics, const Source& source);

// {"file": …, "errors": 1, "warnings": 0, "findings": [{"code": …, "severity": …, "message": …,
//  "line": …, "column": …, "end_line": …, "end_column": …, "label": …, "notes": […]}]}
std::string render_json(const Diagnostics& diagnostics, const Source& source);

}  // namespace terrace::config
