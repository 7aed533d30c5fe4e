#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace terrace::config {

// Writes JSON (RFC 8259) with two blanks per level. Inside an object every value
// has a key; inside a list none has.
class JsonWriter {
 public:
  void begin_object(std::string_view key = {}) { begin(key, '{'); }
  void end_object() { end('}'); }
  void begin_list(std::string_view key = {}) { begin(key, '['); }
  void end_list() { end(']'); }
  void string(std::string_view key, std::string_view value);
  void number(std::string_view key, int64_t value) { raw(key, std::to_string(value)); }
  void boolean(std::string_view key, bool value) { raw(key, value ? "true" : "false"); }
  // JSON that is written already.
  void raw(std::string_view key, std::string_view json);
  // Ends with a line end.
  std::string take() { return std::move(out_) + "\n"; }

 private:
  void begin(std::string_view key, char bracket);
  void end(char bracket);
  void next(std::string_view key);

  std::string out_;
  size_t depth_ = 0;
  bool first_ = true;
};

}  // namespace terrace::config
