#include <fmt/format.h>

#include <algorithm>

#include "topology/fields.h"
#include "topology/load.h"

namespace terrace::topology {
namespace {

using config::Field;
using config::Table;

// A value that is text by now: what looks like `${` in it stands for itself.
std::string literal(std::string toml) {
  for (size_t at = toml.find("${"); at != std::string::npos; at = toml.find("${", at + 3))
    toml.insert(at, "$");
  return toml;
}

void write_field(std::string& out, const std::string& path, const Field& field) {
  if (const auto* const* table = std::get_if<std::vector<Named>*>(&field.slot)) {
    for (const Named& entry : **table)
      out += fmt::format("{}.{} = {}\n", path, config::toml_key(entry.name),
                         literal(config::toml_string(entry.value)));
  } else {
    out += fmt::format("{} = {}\n", path, literal(value_as_toml(field)));
  }
}

void write_entries(std::string& out, const Table& table) {
  for (const std::string& name : table.names()) {
    for (const Field& field : table.entry(name)) {
      if (value_as_toml(field).empty()) continue;
      write_field(out, fmt::format("{}.{}.{}", table.name, config::toml_key(name), field.name), field);
    }
  }
}

}  // namespace

// Defaults are left out, since some keys may only stand beside others.
std::string resolved_text(const Site& site) {
  Site copy = site;
  Site defaults;
  const std::vector<Table> tables = site_tables(copy);
  const std::vector<Table> default_tables = site_tables(defaults);
  std::string out;
  for (size_t t = 0; t < tables.size(); ++t) {
    if (tables[t].name == "app" && site.app.run.empty()) continue;
    for (size_t f = 0; f < tables[t].fields.size(); ++f) {
      const Field& field = tables[t].fields[f];
      if (field.secret || value_as_toml(field) == value_as_toml(default_tables[t].fields[f])) continue;
      write_field(out, fmt::format("{}.{}", tables[t].name, field.name), field);
    }
    if (tables[t].entry) write_entries(out, tables[t]);
  }
  return out;
}

}  // namespace terrace::topology
