#include "config/field.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/log.h"
#include "config/quantity.h"

namespace terrace::config {
namespace {

struct TypeWords {
  std::string operator()(std::monostate) const { return "a value"; }
  std::string operator()(const std::string*) const { return "a string"; }
  std::string operator()(const bool*) const { return "true or false"; }
  std::string operator()(const int*) const { return "a whole number"; }
  std::string operator()(const int64_t*) const { return "a size such as \"512MB\""; }
  std::string operator()(const std::chrono::milliseconds*) const { return "a duration such as \"10s\""; }
  std::string operator()(const std::vector<std::string>*) const { return "a list of strings"; }
  std::string operator()(const std::vector<Named>*) const { return "a table of strings"; }
  std::string operator()(const Choice& choice) const { return one_of(choice.words); }
  std::string operator()(const Choices&) const { return "a list of strings"; }
};

template <class Range, class Format>
std::string joined(const Range& range, Format format) {
  std::string out;
  for (const auto& element : range) out += (out.empty() ? "" : ", ") + format(element);
  return out;
}

struct AsToml {
  std::string operator()(std::monostate) const { return ""; }
  std::string operator()(const std::string* text) const { return text->empty() ? "" : toml_string(*text); }
  std::string operator()(const bool* value) const { return *value ? "true" : "false"; }
  std::string operator()(const int* value) const { return std::to_string(*value); }
  std::string operator()(const int64_t* bytes) const { return toml_string(format_size(*bytes)); }
  std::string operator()(const std::chrono::milliseconds* duration) const {
    return toml_string(format_duration(*duration));
  }
  std::string operator()(const std::vector<std::string>* list) const {
    return "[" + joined(*list, [](const std::string& text) { return toml_string(text); }) + "]";
  }
  std::string operator()(const std::vector<Named>* table) const {
    if (table->empty()) return "{}";
    return "{ " +
           joined(*table, [](const Named& n) { return toml_key(n.name) + " = " + toml_string(n.value); }) +
           " }";
  }
  std::string operator()(const Choice& choice) const { return toml_string(choice.words[choice.get()].text); }
  std::string operator()(const Choices& choices) const {
    return "[" + joined(choices.get(), [&](size_t i) { return toml_string(choices.words[i].text); }) + "]";
  }
};

}  // namespace

std::string one_of(const std::vector<Word>& words) {
  std::string list;
  for (const Word& word : words) {
    if (word.later.empty()) list += fmt::format("{}`{}`", list.empty() ? "one of " : ", ", word.text);
  }
  return list;
}

std::string type_words(const Field& field) { return std::visit(TypeWords{}, field.slot); }

std::string value_as_toml(const Field& field) { return std::visit(AsToml{}, field.slot); }

std::string toml_key(std::string_view name) {
  const bool bare = !name.empty() && std::ranges::all_of(name, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
  });
  return bare ? std::string(name) : toml_string(name);
}

std::string toml_string(std::string_view text) {
  std::string out = "\"";
  append_json_escaped(out, text);
  return out + "\"";
}

}  // namespace terrace::config
