#include "program/log_line.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/log.h"

namespace terrace::program {
namespace {

// The first word of `text`, which is taken off together with the blank behind it.
std::string_view take_word(std::string_view& text) {
  const std::string_view word = text.substr(0, text.find(' '));
  text.remove_prefix(std::min(word.size() + 1, text.size()));
  return word;
}

bool is_time(std::string_view word) {
  return word.size() >= 20 && word[4] == '-' && word[10] == 'T' && word.ends_with('Z');
}

// Where the quoted part at the start of `text` ends.
size_t quoted_end(std::string_view text) {
  for (size_t i = 1; i < text.size(); ++i) {
    if (text[i] == '\\') {
      ++i;
    } else if (text[i] == '"') {
      return i + 1;
    }
  }
  return text.size();
}

// Whether `word` stands in the line by itself, outside of quotes.
bool has_word(std::string_view line, std::string_view word) {
  while (!line.empty()) {
    if (line[0] == '"') {
      line.remove_prefix(quoted_end(line));
    } else if (take_word(line) == word) {
      return true;
    }
  }
  return false;
}

void append_member(std::string& out, std::string_view name, std::string_view value) {
  out += fmt::format(",\"{}\":\"", name);
  append_json_escaped(out, value);
  out += '"';
}

}  // namespace

AppLine split_app_line(std::string_view line) {
  std::string_view rest = line;
  const std::string_view time = take_word(rest);
  const std::string_view instance = take_word(rest);
  if (!is_time(time) || !instance.ends_with(':')) return {.time = {}, .instance = {}, .text = line};
  return {.time = time, .instance = instance.substr(0, instance.size() - 1), .text = rest};
}

bool log_line_is_of(std::string_view line, std::string_view instance) {
  const AppLine app = split_app_line(line);
  if (!app.instance.empty()) return app.instance == instance;
  // Quotes within values are escaped, so a client cannot write this member.
  if (line.starts_with('{'))
    return line.find(fmt::format(",\"instance\":\"{}\"", instance)) != std::string_view::npos;
  return has_word(line, instance) || has_word(line, fmt::format("instance={}", instance));
}

std::string log_line_json(std::string_view log, std::string_view line) {
  std::string out = fmt::format("{{\"log\":\"{}\"", log);
  if (line.starts_with('{') && nlohmann::json::accept(line))
    return out + ",\"entry\":" + std::string(line) + "}";
  const AppLine app = split_app_line(line);
  std::string_view text = app.text;
  if (app.time.empty()) {
    const std::string_view time = take_word(text);
    if (is_time(time)) {
      append_member(out, "time", time);
    } else {
      text = line;
    }
  } else {
    append_member(out, "time", app.time);
    append_member(out, "instance", app.instance);
  }
  append_member(out, "text", text);
  return out + "}";
}

}  // namespace terrace::program
