#include "config/schema.h"

#include <algorithm>
#include <vector>

#include "config/json.h"

namespace terrace::config {
namespace {

// Any string may hold `${…}`, of which a schema cannot see the value.
constexpr std::string_view kInterpolated = "\\$\\{";
constexpr std::string_view kDuration = "^[0-9]+(ms|s|m|h|d)$|\\$\\{";
constexpr std::string_view kSize = "^[0-9]+(B|KB|MB|GB|TB|KiB|MiB|GiB|TiB)$|\\$\\{";

void write_words(JsonWriter& json, std::span<const Word> words) {
  json.begin_list("anyOf");
  json.begin_object();
  json.begin_list("enum");
  for (const Word& word : words) {
    if (word.later.empty()) json.string({}, word.text);
  }
  json.end_list();
  json.end_object();
  json.begin_object();
  json.string("type", "string");
  json.string("pattern", kInterpolated);
  json.end_object();
  json.end_list();
}

// Writes what the type of a field demands.
struct WriteType {
  JsonWriter& json;
  const Field& field;

  void operator()(std::monostate) const {}
  void operator()(const std::string*) const { json.string("type", "string"); }
  void operator()(const bool*) const { json.string("type", "boolean"); }
  void operator()(const int*) const {
    json.string("type", "integer");
    json.number("minimum", field.minimum);
    json.number("maximum", field.maximum);
  }
  void operator()(const int64_t*) const { write_pattern(kSize); }
  void operator()(const std::chrono::milliseconds*) const { write_pattern(kDuration); }
  void operator()(const std::vector<std::string>*) const {
    write_list();
    json.begin_object("items");
    json.string("type", "string");
    json.end_object();
  }
  void operator()(const std::vector<Named>*) const {
    json.string("type", "object");
    json.number("maxProperties", std::min(field.maximum, kElementsMax));
    json.begin_object("additionalProperties");
    json.string("type", "string");
    json.end_object();
  }
  void operator()(const Choice& choice) const { write_words(json, choice.words); }
  void operator()(const Choices& choices) const {
    write_list();
    json.boolean("uniqueItems", true);
    json.begin_object("items");
    write_words(json, choices.words);
    json.end_object();
  }

 private:
  void write_pattern(std::string_view pattern) const {
    json.string("type", "string");
    json.string("pattern", pattern);
  }
  void write_list() const {
    json.string("type", "array");
    json.number("minItems", field.minimum);
    json.number("maxItems", std::min(field.maximum, kElementsMax));
  }
};

void write_field(JsonWriter& json, const Field& field) {
  json.begin_object(field.name);
  json.string("description", field.about);
  std::visit(WriteType{json, field}, field.slot);
  const std::string value = value_as_toml(field);
  // For these types TOML and JSON write a value alike.
  const bool table = std::holds_alternative<std::vector<Named>*>(field.slot);
  if (!value.empty() && !table && !field.required && field.default_words.empty()) json.raw("default", value);
  json.end_object();
}

void write_table(JsonWriter& json, const Table& table, std::span<const Table* const> inner);

// `inner`: the tables inside.
void write_object(JsonWriter& json, std::span<const Field> fields, std::span<const Table* const> inner = {}) {
  json.string("type", "object");
  json.boolean("additionalProperties", false);
  if (std::ranges::any_of(fields, &Field::required)) {
    json.begin_list("required");
    for (const Field& field : fields) {
      if (field.required) json.string({}, field.name);
    }
    json.end_list();
  }
  json.begin_object("properties");
  for (const Field& field : fields) {
    if (field.later.empty()) write_field(json, field);
  }
  for (const Table* table : inner) write_table(json, *table, {});
  json.end_object();
}

void write_table(JsonWriter& json, const Table& table, std::span<const Table* const> inner) {
  json.begin_object(table.last_name());
  json.string("description", table.about);
  if (table.entry) {
    json.string("type", "object");
    json.begin_object("additionalProperties");
    write_object(json, table.entry("name"));
    json.end_object();
  } else {
    write_object(json, table.fields, inner);
  }
  json.end_object();
}

}  // namespace

std::string json_schema(std::string_view title, std::string_view about, std::span<const Table> tables) {
  JsonWriter json;
  json.begin_object();
  json.string("$schema", "http://json-schema.org/draft-04/schema#");
  json.string("title", title);
  json.string("description", about);
  json.string("type", "object");
  json.boolean("additionalProperties", false);
  json.begin_object("properties");
  for (const Table& table : tables) {
    if (table.inner() || !table.later.empty()) continue;
    std::vector<const Table*> inner;
    for (const Table& other : tables) {
      if (other.is_inside(table.name)) inner.push_back(&other);
    }
    write_table(json, table, inner);
  }
  json.end_object();
  json.end_object();
  return json.take();
}

}  // namespace terrace::config
