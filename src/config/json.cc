#include "config/json.h"

#include "config/field.h"

namespace terrace::config {

void JsonWriter::next(std::string_view key) {
  if (!first_) out_ += ',';
  if (depth_ > 0) out_ += "\n" + std::string(depth_ * 2, ' ');
  if (!key.empty()) out_ += toml_string(key) + ": ";
  first_ = false;
}

void JsonWriter::begin(std::string_view key, char bracket) {
  next(key);
  out_ += bracket;
  ++depth_;
  first_ = true;
}

void JsonWriter::end(char bracket) {
  --depth_;
  if (!first_) out_ += "\n" + std::string(depth_ * 2, ' ');
  out_ += bracket;
  first_ = false;
}

void JsonWriter::raw(std::string_view key, std::string_view json) {
  next(key);
  out_ += json;
}

// A basic string of TOML without control bytes is one of JSON, and the other way round.
void JsonWriter::string(std::string_view key, std::string_view value) { raw(key, toml_string(value)); }

}  // namespace terrace::config
