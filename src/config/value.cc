#include "config/value.h"

#include <fmt/format.h>

#include <algorithm>

#include "config/quantity.h"
#include "config/suggest.h"

namespace terrace::config {
namespace {

std::string did_you_mean(std::string_view word, const std::vector<Word>& words) {
  std::vector<std::string> candidates;
  candidates.reserve(words.size());
  for (const Word& known : words) candidates.emplace_back(known.text);
  const auto meant = suggest(word, candidates);
  return meant ? fmt::format("did you mean `{}`?", *meant) : "";
}

std::vector<std::string> hidden_note(bool hidden) {
  if (!hidden) return {};
  return {"the value came through `${…}` and is not shown"};
}

std::string show_number(int64_t number) { return std::to_string(number); }
std::string show_duration(int64_t number) { return format_duration(std::chrono::milliseconds(number)); }

}  // namespace

void ValueReader::read(const Node& node, const Field& field, const std::string& path, bool resolve) {
  resolve_ = resolve;
  origins_.add(path, {.key = node.key, .value = node.where, .hidden = field.secret});
  // Whoever is not to read secrets does not get those either that stand in the file.
  if (field.secret && !resolve) return origins_.mark(path, &Origin::unresolved);
  const std::string name = fmt::format("`{}`", path);
  const At at{field, path, name, name, type_words(field), field.form};
  std::visit([&](const auto& slot) { set(slot, node, at); }, field.slot);
}

void ValueReader::set(std::string* slot, const Node& node, const At& at) {
  if (auto value = string_of(node, at)) *slot = std::move(value->text);
}

void ValueReader::set(bool* slot, const Node& node, const At& at) {
  if (is(Node::Kind::kBool, node, at)) *slot = node.boolean;
}

void ValueReader::set(int* slot, const Node& node, const At& at) {
  if (!is(Node::Kind::kInteger, node, at)) return;
  if (in_range(node.integer, node, at, false, show_number)) *slot = static_cast<int>(node.integer);
}

void ValueReader::set(int64_t* slot, const Node& node, const At& at) {
  const auto value = string_of(node, at);
  if (!value || value->unresolved) return;
  const auto bytes = parse_size(value->text);
  if (!bytes)
    refuse("E016", node, at, fmt::format("{} must be {}", at.name, at.wanted),
           "a whole number and B, KB, MB, GB, TB, KiB, MiB, GiB or TiB", hidden_note(value->hidden));
  else if (in_range(*bytes, node, at, value->hidden, format_size))
    *slot = *bytes;
}

void ValueReader::set(std::chrono::milliseconds* slot, const Node& node, const At& at) {
  const auto value = string_of(node, at);
  if (!value || value->unresolved) return;
  const auto duration = parse_duration(value->text);
  if (!duration)
    refuse("E016", node, at, fmt::format("{} must be {}", at.name, at.wanted),
           "a whole number and ms, s, m, h or d", hidden_note(value->hidden));
  else if (in_range(duration->count(), node, at, value->hidden, show_duration))
    *slot = *duration;
}

void ValueReader::set(std::vector<std::string>* slot, const Node& node, const At& at) {
  if (!is(Node::Kind::kArray, node, at) || !count_fits(node, at)) return;
  std::vector<std::string> list;
  for (const Node& child : node.children) {
    auto value = string_of(child, element(child, at, list.size()));
    list.push_back(value ? std::move(value->text) : "");
  }
  *slot = std::move(list);
}

void ValueReader::set(std::vector<Named>* slot, const Node& node, const At& at) {
  if (!is(Node::Kind::kTable, node, at) || !count_fits(node, at)) return;
  std::vector<Named> table;
  for (const Node& child : node.children) {
    const At inside = entry(child, at);
    const std::string wrong = at.field.name_form.check(child.name);
    if (!wrong.empty())
      diagnostics_.add({.code = "E016",
                        .message = fmt::format("a name in {} must be {}", at.name, at.field.name_form.what),
                        .where = child.key,
                        .label = wrong,
                        .notes = {}});
    auto value = string_of(child, inside);
    if (value && wrong.empty()) table.push_back({child.name, std::move(value->text)});
  }
  *slot = std::move(table);
}

void ValueReader::set(const Choice& slot, const Node& node, const At& at) {
  if (const auto index = word_of(slot.words, node, at)) slot.set(*index);
}

void ValueReader::set(const Choices& slot, const Node& node, const At& at) {
  if (!is(Node::Kind::kArray, node, at) || !count_fits(node, at)) return;
  std::vector<size_t> chosen;
  for (size_t i = 0; i < node.children.size(); ++i) {
    const Node& child = node.children[i];
    const At inside = element(child, at, i);
    const auto index = word_of(slot.words, child, inside);
    if (!index) continue;
    if (std::ranges::find(chosen, *index) == chosen.end()) {
      chosen.push_back(*index);
      continue;
    }
    refuse("E019", child, inside, fmt::format("`{}` is twice in {}", slot.words[*index].text, at.name),
           "leave one of them out");
  }
  slot.set(std::move(chosen));
}

ValueReader::At ValueReader::element(const Node& node, const At& list, size_t index) {
  At at{list.field,
        fmt::format("{}.{}", list.path, index),
        fmt::format("each of {}", list.name),
        list.name,
        "a string",
        list.form};
  origins_.add(at.path, {.key = node.where, .value = node.where, .hidden = list.field.secret});
  return at;
}

ValueReader::At ValueReader::entry(const Node& node, const At& table) {
  const std::string name = fmt::format("`{}`", table.path + "." + toml_key(node.name));
  At at{table.field, fmt::format("{}.{}", table.path, node.name), name, name, "a string", table.form};
  origins_.add(at.path, {.key = node.key, .value = node.where, .hidden = table.field.secret});
  return at;
}

std::optional<size_t> ValueReader::word_of(const std::vector<Word>& words, const Node& node, const At& at) {
  const auto value = string_of(node, at);
  if (!value || value->unresolved) return std::nullopt;
  const auto word = std::ranges::find(words, value->text, &Word::text);
  if (word == words.end()) {
    refuse("E015", node, at, fmt::format("{} must be {}", at.name, one_of(words)),
           value->hidden ? "" : did_you_mean(value->text, words), hidden_note(value->hidden));
    return std::nullopt;
  }
  if (word->later.empty()) return static_cast<size_t>(word - words.begin());
  refuse("E017", node, at, fmt::format("`{}` in {} comes with {}", word->text, at.whole, word->later),
         "not in this release");
  return std::nullopt;
}

std::optional<ValueReader::Value> ValueReader::string_of(const Node& node, const At& at) {
  if (!is(Node::Kind::kString, node, at)) return std::nullopt;
  auto value = interpolated(node, at);
  if (!value || value->unresolved) return value;
  std::string wrong;
  if (value->text.size() > kStringBytesMax)
    wrong = fmt::format("it is longer than {} bytes", kStringBytesMax);
  else if (value->text.find('\0') != std::string::npos)
    wrong = "it holds a zero byte";
  else if (at.form.check != nullptr)
    wrong = at.form.check(value->text);
  if (wrong.empty()) return value;
  refuse("E016", node, at,
         fmt::format("{} must be {}", at.name, at.form.what.empty() ? at.wanted : std::string(at.form.what)),
         std::move(wrong), hidden_note(value->hidden));
  return std::nullopt;
}

std::optional<ValueReader::Value> ValueReader::interpolated(const Node& node, const At& at) {
  if (!has_interpolation(node.text)) return Value{.text = node.text};
  if (!resolve_) return unresolved(node, at);
  const InterpolatedPlace place{.folder = options_.folder, .secrets = at.field.secret, .url = at.field.url};
  auto result = interpolate(node.text, place, options_.inputs);
  if (!result && result.error().code.starts_with('W')) return left_alone(node, at, result.error());
  if (!result) {
    refuse(result.error().code, node, at, result.error().message, result.error().label);
    return std::nullopt;
  }
  if (result->used) origins_.mark(at.path, &Origin::hidden);
  return Value{.text = std::move(result->text), .hidden = result->used};
}

ValueReader::Value ValueReader::unresolved(const Node& node, const At& at) {
  origins_.mark(at.path, &Origin::hidden);
  origins_.mark(at.path, &Origin::unresolved);
  return {.text = node.text, .hidden = true, .unresolved = true};
}

ValueReader::Value ValueReader::left_alone(const Node& node, const At& at, const InterpolationError& why) {
  diagnostics_.add({.code = why.code,
                    .severity = Severity::kWarning,
                    .message = why.message,
                    .where = node.where,
                    .label = why.label,
                    .notes = why.notes});
  return unresolved(node, at);
}

// Strings are the way to write durations, sizes and words; what else a string is
// taken for is decided later.
bool ValueReader::is(Node::Kind kind, const Node& node, const At& at) {
  if (node.kind == kind) return true;
  std::vector<std::string> notes;
  if (!at.field.example.empty())
    notes.push_back(fmt::format("example: {} = {}", at.field.name, at.field.example));
  refuse("E013", node, at, fmt::format("{} must be {}", at.name, at.wanted),
         fmt::format("this is {}", kind_name(node.kind)), std::move(notes));
  return false;
}

bool ValueReader::in_range(int64_t value, const Node& node, const At& at, bool hidden,
                           std::string (*show)(int64_t)) {
  if (value >= at.field.minimum && value <= at.field.maximum) return true;
  refuse("E014", node, at,
         fmt::format("{} must be between {} and {}", at.name, show(at.field.minimum), show(at.field.maximum)),
         value < at.field.minimum ? "too small" : "too large", hidden_note(hidden));
  return false;
}

bool ValueReader::count_fits(const Node& node, const At& at) {
  const auto count = static_cast<int64_t>(node.children.size());
  const int64_t most = std::min(at.field.maximum, kElementsMax);
  if (count >= at.field.minimum && count <= most) return true;
  refuse("E014", node, at,
         fmt::format("{} must hold between {} and {} values", at.name, at.field.minimum, most),
         fmt::format("this holds {}", count));
  return false;
}

void ValueReader::refuse(std::string code, const Node& node, const At& at, std::string message,
                         std::string label, std::vector<std::string> notes) {
  origins_.mark(at.path, &Origin::wrong);
  diagnostics_.add({.code = std::move(code),
                    .message = std::move(message),
                    .where = node.where,
                    .label = std::move(label),
                    .notes = std::move(notes)});
}

}  // namespace terrace::config
