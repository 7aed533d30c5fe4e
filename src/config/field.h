#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <limits>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace terrace::config {

// The table of fields: one description per key of a file, from which come its
// parser (reader.h), its defaults (what the bound variable holds beforehand), its
// checks, its JSON schema (schema.h) and its manual page (manual.h). A field is
// bound to a variable of a struct; whoever describes a file returns the tables
// bound to one instance of it, which must outlive them.

struct Named {  // one key = value of a table, in the order of the file
  std::string name;
  std::string value;
  bool operator==(const Named&) const = default;
};

// One of the words that a choice knows.
struct Word {
  std::string_view text;
  std::string_view about;
  std::string_view later = {};  // "step 1": known, and refused until then
};

// An enum as words; `words[i]` stands for the enumerator of value i. Words of a
// later step are never set, so they may have no enumerator yet.
struct Choice {
  std::vector<Word> words;
  std::function<void(size_t)> set;
  std::function<size_t()> get;
};

// A list of such words, each at most once.
struct Choices {
  std::vector<Word> words;
  std::function<void(std::vector<size_t>)> set;
  std::function<std::vector<size_t>()> get;
};

// What a field is bound to, which is also its type: a string, true or false, a
// whole number, a size in bytes (int64_t), a duration, a list of strings, a table
// of strings, a choice. Nothing: a key of a later step.
using Slot = std::variant<std::monostate, std::string*, bool*, int*, int64_t*, std::chrono::milliseconds*,
                          std::vector<std::string>*, std::vector<Named>*, Choice, Choices>;

// A form that strings must have. `check` returns what is wrong, in words that
// follow the carets, or "".
struct Form {
  std::string_view what;  // "an address with a port": after "must be"
  std::string (*check)(std::string_view value) = nullptr;
};

struct Field {
  std::string_view name;
  std::string_view about;  // Markdown, full sentences
  Slot slot = {};
  Form form = {};       // of the string, of each element, of each value of a table
  Form name_form = {};  // of the names in a table
  // Of a number, a duration in ms, a size in bytes; of the count for lists and tables.
  int64_t minimum = 0;
  int64_t maximum = std::numeric_limits<int64_t>::max();
  bool required = false;
  bool secret = false;                  // its value is never shown; it may hold `${secret:…}`
  bool url = false;                     // `${…}` in it are parts of a URL (InterpolatedPlace)
  std::string_view example = {};        // as TOML, without the key
  std::string_view default_words = {};  // where the variable cannot say it
  std::string_view later = {};          // "step 1": known, and refused until then
};

struct Table {
  // "lb.backends" is a table inside `[lb]`, which stands somewhere before it. Inner tables
  // have entries, and none inside.
  std::string_view name;
  std::string_view about;
  std::vector<Field> fields;
  std::string_view later = {};  // as above, for all of it
  // A table whose keys are names that the user chooses: gives the fields of one entry,
  // which is added when it is new. `entry_word` is what one is called: "server".
  std::function<std::vector<Field>(const std::string& name)> entry = {};
  std::function<std::vector<std::string>()> names = {};  // of the entries that are there
  std::string_view entry_word = {};
  Form entry_form = {};  // of these names

  bool inner() const { return name.find('.') != std::string_view::npos; }
  // "backends" of "lb.backends".
  std::string_view last_name() const { return name.substr(name.rfind('.') + 1); }
  bool is_inside(std::string_view outer) const { return inner() && name.substr(0, name.rfind('.')) == outer; }
};

// A table of named entries, bound to `entries`, whose elements have a `name`.
template <class Entry>
Table entries_table(std::vector<Entry>& entries, std::vector<Field> (*fields)(Entry& entry)) {
  Table table;
  table.entry = [&entries, fields](const std::string& name) {
    for (Entry& entry : entries) {
      if (entry.name == name) return fields(entry);
    }
    entries.push_back({.name = name});
    return fields(entries.back());
  };
  table.names = [&entries] {
    std::vector<std::string> names;
    for (const Entry& entry : entries) names.push_back(entry.name);
    return names;
  };
  return table;
}

// Longest string a file may hold, after interpolation.
constexpr size_t kStringBytesMax = 32 << 10;
// Most elements of a list or a table of strings.
constexpr int64_t kElementsMax = 256;

template <class Enum>
Choice choice(Enum& target, std::vector<Word> words) {
  return {std::move(words), [&target](size_t i) { target = static_cast<Enum>(i); },
          [&target] { return static_cast<size_t>(target); }};
}

template <class Enum>
Choices choices(std::vector<Enum>& target, std::vector<Word> words) {
  return {std::move(words),
          [&target](const std::vector<size_t>& chosen) {
            target.clear();
            for (const size_t i : chosen) target.push_back(static_cast<Enum>(i));
          },
          [&target] {
            std::vector<size_t> chosen;
            for (const Enum e : target) chosen.push_back(static_cast<size_t>(e));
            return chosen;
          }};
}

// "one of `app`, `index`": without the words of a later step.
std::string one_of(const std::vector<Word>& words);

// "a string", "a duration such as \"10s\"": for messages and the manual.
std::string type_words(const Field& field);

// The value that the field's variable holds, as TOML; "" for an empty string and
// for keys of a later step.
std::string value_as_toml(const Field& field);

// A key as TOML writes it, in quotes only where they are needed (TOML 1.0 "Keys").
std::string toml_key(std::string_view name);

// A string as TOML writes it (TOML 1.0 "String").
std::string toml_string(std::string_view text);

}  // namespace terrace::config
