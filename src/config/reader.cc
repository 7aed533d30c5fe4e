#include "config/reader.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "config/quantity.h"
#include "config/suggest.h"

namespace terrace::config {
namespace {

// A string after interpolation, with what may be said of it.
struct Value {
  std::string text;
  bool hidden = false;
  bool unresolved = false;
};

std::vector<std::string> names_of(std::span<const Field> fields) {
  std::vector<std::string> names;
  for (const Field& field : fields) names.emplace_back(field.name);
  return names;
}

const Field* find_field(std::span<const Field> fields, std::string_view name) {
  const auto found = std::ranges::find(fields, name, &Field::name);
  return found != fields.end() ? &*found : nullptr;
}

std::string quoted_list(std::span<const Word> words) {
  std::string list;
  for (const Word& word : words) {
    if (word.later.empty()) list += fmt::format("{}`{}`", list.empty() ? "" : ", ", word.text);
  }
  return list;
}

std::string did_you_mean(std::string_view word, std::span<const std::string> candidates) {
  const auto meant = suggest(word, candidates);
  return meant ? fmt::format("did you mean `{}`?", *meant) : "";
}

std::string did_you_mean(std::string_view word, std::span<const Word> words) {
  std::vector<std::string> candidates;
  for (const Word& known : words) candidates.emplace_back(known.text);
  return did_you_mean(word, candidates);
}

void hide_leaves(const Node& node, Source& source) {
  for (const Node& child : node.children) hide_leaves(child, source);
  if (node.kind != Node::Kind::kTable && node.kind != Node::Kind::kArray) source.hide(node.where);
}

class Reader {
 public:
  Reader(std::span<const Table> tables, const ReadOptions& options, Source& source, Diagnostics& diagnostics)
      : tables_(tables), options_(options), source_(source), diagnostics_(diagnostics) {}

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
    if (table == tables_.end()) return unknown_table(node);
    if (!table->later.empty()) return later_table(node, *table);
    if (node.kind != Node::Kind::kTable) return no_table(node);
    resolve_ = options_.resolve(table->name);
    origins_.add(node.name, {.key = node.key, .value = node.where});
    if (table->entry) return read_entries(node, *table);
    read_fields(node, table->fields, node.name, fmt::format("`[{}]`", node.name));
  }

  void unknown_table(const Node& node) {
    hide_leaves(node, source_);
    std::vector<std::string> names;
    for (const Table& table : tables_) names.emplace_back(table.name);
    std::string label = did_you_mean(node.name, names);
    if (label.empty()) label = home_of(node.name);
    const char* what = node.kind == Node::Kind::kTable ? "table" : "key";
    report("E011", node.key, fmt::format("unknown {} `{}`", what, node.name), label);
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

  void read_entries(const Node& node, const Table& table) {
    for (const Node& child : node.children) {
      const std::string path = fmt::format("{}.{}", node.name, child.name);
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
      const Field* field = find_field(fields, child.name);
      if (field == nullptr) {
        unknown_key(child, fields, in);
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

  // A key that nobody knows may be a secret's, written wrongly: its value is shown
  // only when it is clearly another's.
  void unknown_key(const Node& node, std::span<const Field> fields, const std::string& in) {
    const std::vector<std::string> names = names_of(fields);
    const auto meant = suggest(node.name, names);
    if (!meant || find_field(fields, *meant)->secret) hide_leaves(node, source_);
    std::string label = did_you_mean(node.name, names);
    if (label.empty()) label = home_of(node.name);
    report("E012", node.key, fmt::format("unknown key `{}` in {}", node.name, in), label,
           {fmt::format("known here: {}", fmt::join(names, ", "))}, meant.has_value() || !label.empty());
  }

  // Says in which table a key would be known.
  std::string home_of(const std::string& name) const {
    for (const Table& table : tables_) {
      if (find_field(table.fields, name) != nullptr)
        return fmt::format("`{}` belongs in `[{}]`", name, table.name);
    }
    return {};
  }

  void later_key(const Node& node, const At& at) {
    hide_leaves(node, source_);
    report("E017", node.key, fmt::format("`{}` comes with {}", at.path, at.field.later),
           "not in this release");
  }

  void read_field(const Node& node, const At& at) {
    if (at.field.secret) hide_leaves(node, source_);
    origins_.add(at.path, {.key = node.key, .value = node.where, .hidden = at.field.secret});
    std::visit([&](const auto& slot) { set(slot, node, at); }, at.field.slot);
  }

  void set(std::monostate, const Node&, const At&) {}

  void set(std::string* slot, const Node& node, const At& at) {
    if (auto value = string_of(node, at, at.path, at.field.form)) *slot = std::move(value->text);
  }

  void set(bool* slot, const Node& node, const At& at) {
    if (expect(node, Node::Kind::kBool, at)) *slot = node.boolean;
  }

  void set(int* slot, const Node& node, const At& at) {
    if (!expect(node, Node::Kind::kInteger, at)) return;
    const auto show = [](int64_t number) { return std::to_string(number); };
    if (in_range(node.integer, node, at, false, show)) *slot = static_cast<int>(node.integer);
  }

  void set(int64_t* slot, const Node& node, const At& at) {
    const auto value = string_of(node, at, at.path, {});
    if (!value || value->unresolved) return;
    const auto bytes = parse_size(value->text);
    if (!bytes)
      return malformed(node, at, "a whole number and B, KB, MB, GB, KiB, MiB or GiB", value->hidden);
    if (in_range(*bytes, node, at, value->hidden, format_size)) *slot = *bytes;
  }

  void set(std::chrono::milliseconds* slot, const Node& node, const At& at) {
    const auto value = string_of(node, at, at.path, {});
    if (!value || value->unresolved) return;
    const auto duration = parse_duration(value->text);
    if (!duration) return malformed(node, at, "a whole number and ms, s, m, h or d", value->hidden);
    const auto show = [](int64_t number) { return format_duration(std::chrono::milliseconds(number)); };
    if (in_range(duration->count(), node, at, value->hidden, show)) *slot = *duration;
  }

  void set(std::vector<std::string>* slot, const Node& node, const At& at) {
    if (!expect(node, Node::Kind::kArray, at) || !count_fits(node, at)) return;
    std::vector<std::string> list;
    for (const Node& child : node.children) {
      const std::string path = fmt::format("{}.{}", at.path, list.size());
      origins_.add(path, {.key = child.where, .value = child.where, .hidden = at.field.secret});
      auto value = string_of(child, at, path, at.field.form);
      list.push_back(value ? std::move(value->text) : "");
    }
    *slot = std::move(list);
  }

  void set(std::vector<Named>* slot, const Node& node, const At& at) {
    if (!expect(node, Node::Kind::kTable, at) || !count_fits(node, at)) return;
    std::vector<Named> table;
    for (const Node& child : node.children) {
      const std::string path = fmt::format("{}.{}", at.path, child.name);
      origins_.add(path, {.key = child.key, .value = child.where, .hidden = at.field.secret});
      const std::string wrong = at.field.name_form.check(child.name);
      if (!wrong.empty())
        report("E016", child.key, fmt::format("a name in `{}` must be {}", at.path, at.field.name_form.what),
               wrong);
      auto value = string_of(child, at, path, at.field.form);
      if (value && wrong.empty()) table.push_back({child.name, std::move(value->text)});
    }
    *slot = std::move(table);
  }

  void set(const Choice& slot, const Node& node, const At& at) {
    const auto value = string_of(node, at, at.path, {});
    if (!value || value->unresolved) return;
    if (const auto index = word_of(slot.words, *value, node, at)) slot.set(*index);
  }

  void set(const Choices& slot, const Node& node, const At& at) {
    if (!expect(node, Node::Kind::kArray, at) || !count_fits(node, at)) return;
    std::vector<size_t> chosen;
    for (const Node& child : node.children) {
      const auto value = string_of(child, at, at.path, {});
      if (!value || value->unresolved) continue;
      const auto index = word_of(slot.words, *value, child, at);
      if (!index) continue;
      if (std::ranges::find(chosen, *index) != chosen.end())
        report("E019", child.where, fmt::format("`{}` is twice in `{}`", slot.words[*index].text, at.path),
               "leave one of them out");
      chosen.push_back(*index);
    }
    slot.set(std::move(chosen));
  }

  std::optional<size_t> word_of(std::span<const Word> words, const Value& value, const Node& node,
                                const At& at) {
    const auto word = std::ranges::find(words, value.text, &Word::text);
    if (word == words.end()) {
      report("E015", node.where, fmt::format("`{}` must be one of {}", at.path, quoted_list(words)),
             value.hidden ? "" : did_you_mean(value.text, words), hidden_note(value.hidden));
      return std::nullopt;
    }
    if (word->later.empty()) return static_cast<size_t>(word - words.begin());
    report("E017", node.where, fmt::format("`{}` in `{}` comes with {}", word->text, at.path, word->later),
           "not in this release");
    return std::nullopt;
  }

  // The string that `node` holds, interpolated and of the form asked for.
  std::optional<Value> string_of(const Node& node, const At& at, const std::string& path, const Form& form) {
    if (node.kind != Node::Kind::kString) {
      wrong_type(node, path,
                 std::holds_alternative<std::vector<Named>*>(at.field.slot) ||
                         std::holds_alternative<std::vector<std::string>*>(at.field.slot) ||
                         std::holds_alternative<Choices>(at.field.slot)
                     ? "a string"
                     : type_words(at.field),
                 at.field);
      return std::nullopt;
    }
    auto value = interpolated(node, at, path);
    if (!value || value->unresolved) return value;
    if (value->text.size() > kStringBytesMax || value->text.find('\0') != std::string::npos) {
      report("E014", node.where,
             fmt::format("`{}` must be at most {} bytes long, without a zero byte", path, kStringBytesMax),
             "", hidden_note(value->hidden));
      return std::nullopt;
    }
    const std::string wrong = form.check != nullptr ? form.check(value->text) : "";
    if (wrong.empty()) return value;
    report("E016", node.where, fmt::format("`{}` must be {}", path, form.what), wrong,
           hidden_note(value->hidden && !at.field.secret));
    return std::nullopt;
  }

  std::optional<Value> interpolated(const Node& node, const At& at, const std::string& path) {
    if (!has_interpolation(node.text)) return Value{.text = node.text, .hidden = at.field.secret};
    if (!resolve_) {
      origins_.mark_unresolved(path);
      return Value{.text = node.text, .hidden = true, .unresolved = true};
    }
    auto result = interpolate(node.text, options_.folder, options_.inputs);
    if (!result) {
      report(result.error().code, node.where, result.error().message, result.error().label);
      return std::nullopt;
    }
    if (result->used) origins_.mark_hidden(path);
    return Value{.text = std::move(result->text), .hidden = result->used || at.field.secret};
  }

  bool expect(const Node& node, Node::Kind kind, const At& at) {
    if (node.kind == kind) return true;
    wrong_type(node, at.path, type_words(at.field), at.field);
    return false;
  }

  void wrong_type(const Node& node, const std::string& path, const std::string& wanted, const Field& field) {
    std::vector<std::string> notes;
    if (!field.example.empty()) notes.push_back(fmt::format("example: {} = {}", field.name, field.example));
    report("E013", node.where, fmt::format("`{}` must be {}", path, wanted),
           fmt::format("this is {}", kind_name(node.kind)), std::move(notes));
  }

  void malformed(const Node& node, const At& at, std::string label, bool hidden) {
    report("E016", node.where, fmt::format("`{}` must be {}", at.path, type_words(at.field)),
           std::move(label), hidden_note(hidden));
  }

  template <class Show>
  bool in_range(int64_t value, const Node& node, const At& at, bool hidden, Show show) {
    if (value >= at.field.minimum && value <= at.field.maximum) return true;
    report("E014", node.where,
           fmt::format("`{}` must be between {} and {}", at.path, show(at.field.minimum),
                       show(at.field.maximum)),
           value < at.field.minimum ? "too small" : "too large", hidden_note(hidden));
    return false;
  }

  bool count_fits(const Node& node, const At& at) {
    const auto count = static_cast<int64_t>(node.children.size());
    const int64_t most = std::min(at.field.maximum, kElementsMax);
    if (count >= at.field.minimum && count <= most) return true;
    report("E014", node.where,
           fmt::format("`{}` must hold between {} and {} values", at.path, at.field.minimum, most),
           fmt::format("this holds {}", count));
    return false;
  }

  static std::vector<std::string> hidden_note(bool hidden) {
    if (!hidden) return {};
    return {"the value came through `${…}` and is not shown"};
  }

  void report(std::string code, const Span& where, std::string message, std::string label,
              std::vector<std::string> notes = {}, bool drop_notes = false) {
    if (drop_notes) notes.clear();
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
  bool resolve_ = true;
};

}  // namespace

Origins read_tables(const Node& document, std::span<const Table> tables, const ReadOptions& options,
                    Source& source, Diagnostics& diagnostics) {
  return Reader(tables, options, source, diagnostics).read(document);
}

}  // namespace terrace::config
