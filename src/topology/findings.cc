#include "topology/findings.h"

#include <algorithm>

namespace terrace::topology {

using config::Diagnostic;
using config::Origin;
using config::Severity;
using config::Span;

Findings::Findings(const config::Origins& origins, config::Diagnostics& diagnostics)
    : origins_(origins), diagnostics_(diagnostics) {
  complete_ = std::ranges::none_of(diagnostics.all(),
                                   [](const Diagnostic& d) { return d.code == "E011" || d.code == "E012"; });
}

const Origin* Findings::known(const std::string& path) const {
  const Origin* origin = origins_.find(path);
  return origin != nullptr && !origin->unresolved && !origin->wrong ? origin : nullptr;
}

void Findings::report(std::string code, const Span& where, std::string message, std::string label,
                      Notes notes) {
  diagnostics_.add({.code = std::move(code),
                    .message = std::move(message),
                    .where = where,
                    .label = std::move(label),
                    .notes = std::move(notes)});
}

void Findings::report_key(std::string code, const std::string& path, std::string message, std::string label,
                          Notes notes) {
  report(std::move(code), origins_.find(path)->key, std::move(message), std::move(label), std::move(notes));
}

void Findings::report_value(std::string code, const std::string& path, std::string message, std::string label,
                            Notes notes) {
  report(std::move(code), origins_.find(path)->value, std::move(message), std::move(label), std::move(notes));
}

void Findings::warn(std::string code, const Span& where, std::string message, std::string label,
                    Notes notes) {
  diagnostics_.add({.code = std::move(code),
                    .severity = Severity::kWarning,
                    .message = std::move(message),
                    .where = where,
                    .label = std::move(label),
                    .notes = std::move(notes)});
}

}  // namespace terrace::topology
