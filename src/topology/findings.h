#pragma once

#include <string>
#include <vector>

#include "config/diagnostic.h"
#include "config/reader.h"

namespace terrace::topology {

// What rules that look across keys ask of the file, and how they report. They trust only
// what is set: a value that was refused already is no reason for another error.
class Findings {
 public:
  Findings(const config::Origins& origins, config::Diagnostics& diagnostics);

  // Every name in the file is known: after one that is not, a key may only seem to be
  // missing.
  bool complete() const { return complete_; }
  bool set(const std::string& path) const { return origins_.find(path) != nullptr; }
  // Set, and with a value that can be trusted.
  const config::Origin* known(const std::string& path) const;
  const config::Origins& origins() const { return origins_; }

  using Notes = std::vector<std::string>;
  void report(std::string code, const config::Span& where, std::string message, std::string label,
              Notes notes = {});
  // At a key that is set, or its value.
  void report_key(std::string code, const std::string& path, std::string message, std::string label,
                  Notes notes = {});
  void report_value(std::string code, const std::string& path, std::string message, std::string label,
                    Notes notes = {});
  void warn(std::string code, const config::Span& where, std::string message, std::string label,
            Notes notes = {});

 private:
  const config::Origins& origins_;
  config::Diagnostics& diagnostics_;
  bool complete_ = true;
};

}  // namespace terrace::topology
