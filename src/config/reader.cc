#include "config/reader.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "config/suggest.h"
#include "config/value.h"

namespace terrace::config {
namespace {

std::vector<std::string> names_of(std::span<const Field> fields) {
  std::vector<std::string> names;
  names.reserve(fields.size());
  for (const Field& field : fields) names.emplace_back(field.name);
  return names;
}

const Field* find_field(std::span<const Field> fields, std::string_view name) {
  const auto found = std::ranges::find(fields, name, &Field::name);
  return found != fields.end() ? &*found : nullptr;
}

// A reference to where a secret is, which is none itself and helps who looks for
// a mistake.
bool only_refers(const Node& node) {
  const std::string_view text = node.text;
  if (node.kind != Node::Kind::kString || text.find('}') != text.size() - 1) return false;
  return text.starts_with("${env:") || text.starts_with("${file:") || text.starts_with("${secret:");
}

void hide_leaves(const Node& node, Source& source) {
  for (const Node& child : node.children) hide_leaves(child, source);
  const bool leaf = node.kind != Node::Kind::kTable && node.kind != Node::Kind::kArray;
  if (leaf && !only_refers(node)) source.hide(node.where);
}

class Reader {
 public:
  Reader(std::span<const Table> tables, const ReadOptions& options, Source& source, Diagnostics& diagnostics)
      : tables_(tables),
        options_(options),
        source_(source),
        diagnostics_(diagnostics),
        values_(options, origins_, diagnostics) {}

  Origins read(const Node& document) {
    for (const Node& node : document.children) read_top(node);
    return std::move(origins_);
  }

 private:
  // Where a field's value stands and how it is called in messages.
  struct At {
    const Field& field;
    std::string path;  // "app.health"
  };

  void read_top(const Node& node) {
    const auto table = std::ranges::find(tables_, node.name, &Table::name);
    if (table == tables_.end() || table->inner()) return unknown_table(node);
    if (!table->later.empty()) return later_table(node, *table);
    if (node.kind != Node::Kind::kTable) return no_table(node);
    resolve_ = options_.resolve(table->name);
    origins_.add(node.name, {.key = node.key, .value = node.where});
    if (table->entry) return read_entries(node, *table);
    read_fields(node, table->fields, node.name, fmt::format("`[{}]`", node.name));
  }

  void unknown_table(const Node& node) {
    std::vector<std::string> names;
    names.reserve(tables_.size());
    for (const Table& table : tables_) {
      if (!table.inner()) names.emplace_back(table.name);
    }
    const auto meant = suggest(node.name, names);
    const Home home = meant ? Home{} : home_of(node.name);
    if (home.field == nullptr || home.field->secret) hide_leaves(node, source_);
    std::vector<std::string> notes;
    if (!meant && home.words.empty()) notes.push_back(fmt::format("known here: {}", fmt::join(names, ", ")));
    const char* what = node.kind == Node::Kind::kTable ? "table" : "key";
    report("E011", node.key, fmt::format("unknown {} `{}`", what, node.name),
           meant ? fmt::format("did you mean `{}`?", *meant) : home.words, std::move(notes));
  }

  void later_table(const Node& node, const Table& table) {
    hide_leaves(node, source_);
    report("E017", node.key, fmt::format("`[{}]` comes with {}", table.name, table.later),
           "not in this release");
    for (const Node& child : node.children) {
      const Field* field = find_field(table.fields, child.name);
      if (field == nullptr || field->later.empty()) continue;
      later_key(child, {*field, fmt::format("{}.{}", table.name, field->name)});
    }
  }

  void no_table(const Node& node) {
    hide_leaves(node, source_);
    const std::string label =
        node.kind == Node::Kind::kArray
            ? fmt::format("write `[{}]`, once and with single brackets", node.name)
            : fmt::format("write `[{}]` on a line of its own, and its keys below", node.name);
    report("E013", node.key, fmt::format("`{}` must be a table", node.name), label);
  }

  void read_inner(const Node& node, const Table& table) {
    if (node.kind != Node::Kind::kTable) {
      hide_leaves(node, source_);
      origins_.add(std::string(table.name), {.key = node.key, .value = node.where, .wrong = true});
      return report("E013", node.where, fmt::format("`{}` must be a table", table.name),
                    fmt::format("this is {}", kind_name(node.kind)));
    }
    origins_.add(std::string(table.name), {.key = node.key, .value = node.where});
    read_entries(node, table);
  }

  void read_entries(const Node& node, const Table& table) {
    for (const Node& child : node.children) {
      const std::string path = fmt::format("{}.{}", table.name, child.name);
      if (child.kind != Node::Kind::kTable) {
        report("E013", child.where, fmt::format("`{}` must be a table", path),
               fmt::format("this is {}", kind_name(child.kind)));
        continue;
      }
      const std::string wrong = table.entry_form.check(child.name);
      if (!wrong.empty())
        report("E016", child.key,
               fmt::format("the name of a {} must be {}", table.entry_word, table.entry_form.what), wrong);
      origins_.add(path, {.key = child.key, .value = child.where});
      read_fields(child, table.entry(child.name), path, fmt::format("{} `{}`", table.entry_word, child.name));
    }
  }

  void read_fields(const Node& node, std::span<const Field> fields, const std::string& path,
                   const std::string& in) {
    for (const Node& child : node.children) {
      if (const Table* table = inner_table(path, child.name)) {
        read_inner(child, *table);
        continue;
      }
      const Field* field = find_field(fields, child.name);
      if (field == nullptr) {
        unknown_key(child, fields, path, in);
        continue;
      }
      const At at{*field, fmt::format("{}.{}", path, child.name)};
      if (field->later.empty())
        read_field(child, at);
      else
        later_key(child, at);
    }
    for (const Field& field : fields) {
      if (field.required && std::ranges::find(node.children, field.name, &Node::name) == node.children.end())
        report("E010", node.key.known() ? node.key : node.where, fmt::format("{} needs `{}`", in, field.name),
               fmt::format("`{}` is missing", field.name),
               {fmt::format("example: {} = {}", field.name, field.example)});
    }
  }

  // The key is there, or one that was meant to be it and is reported for that.
  static bool almost_there(const Node& node, const Field& field, std::span<const Field> fields) {
    const std::vector<std::string> names = names_of(fields);
    return std::ranges::any_of(node.children, [&](const Node& child) {
      return child.name == field.name ||
             (find_field(fields, child.name) == nullptr && suggest(child.name, names) == field.name);
    });
  }

  // A key that nobody knows may be a secret's, written wrongly: its value is shown
  // only when it is clearly another's.
  void unknown_key(const Node& node, std::span<const Field> fields, const std::string& path,
                   const std::string& in) {
    std::vector<std::string> names = names_of(fields);
    for (const Table& table : tables_) {
      if (table.is_inside(path)) names.emplace_back(table.last_name());
    }
    const auto meant = suggest(node.name, names);
    const Home home = meant ? Home{} : home_of(node.name);
    const Field* field = meant ? find_field(fields, *meant) : home.field;
    if (field == nullptr || field->secret) hide_leaves(node, source_);
    std::vector<std::string> notes;
    if (field == nullptr && !meant) notes.push_back(fmt::format("known here: {}", fmt::join(names, ", ")));
    report("E012", node.key, fmt::format("unknown key `{}` in {}", node.name, in),
           meant ? fmt::format("did you mean `{}`?", *meant) : home.words, std::move(notes));
  }

  // The table in which a key would be known.
  struct Home {
    const Field* field = nullptr;
    std::string words;
  };
  Home home_of(const std::string& name) const {
    for (const Table& table : tables_) {
      if (const Field* field = find_field(table.fields, name))
        return {field, fmt::format("`{}` belongs in `[{}]`", name, table.name)};
      if (table.inner() && table.last_name() == name)
        return {nullptr, fmt::format("write `[{}]`", table.name)};
    }
    return {};
  }

  const Table* inner_table(std::string_view outer, std::string_view name) const {
    const auto found = std::ranges::find_if(
        tables_, [&](const Table& table) { return table.is_inside(outer) && table.last_name() == name; });
    return found != tables_.end() ? &*found : nullptr;
  }

  void later_key(const Node& node, const At& at) {
    hide_leaves(node, source_);
    report("E017", node.key, fmt::format("`{}` comes with {}", at.path, at.field.later),
           "not in this release");
  }

  void read_field(const Node& node, const At& at) {
    if (at.field.secret) hide_leaves(node, source_);
    values_.read(node, at.field, at.path, resolve_);
  }

  void report(std::string code, const Span& where, std::string message, std::string label,
              std::vector<std::string> notes = {}) {
    diagnostics_.add({.code = std::move(code),
                      .message = std::move(message),
                      .where = where,
                      .label = std::move(label),
                      .notes = std::move(notes)});
  }

  std::span<const Table> tables_;
  const ReadOptions& options_;
  Source& source_;
  Diagnostics& diagnostics_;
  Origins origins_;
  ValueReader values_;
  bool resolve_ = true;
};

}  // namespace

Origins read_tables(const Node& document, std::span<const Table> tables, const ReadOptions& options,
                    Source& source, Diagnostics& diagnostics) {
  return Reader(tables, options, source, diagnostics).read(document);
}

}  // namespace terrace::config
