#include "http/case_table.h"

#include <gtest/gtest.h>

#include <toml++/toml.h>

namespace terrace::http {
namespace {

// U+0000 to U+00FF, as UTF-8, back to the bytes that they stand for.
std::string bytes_of(const std::string& text) {
  std::string bytes;
  for (size_t i = 0; i < text.size(); i++) {
    const auto byte = static_cast<uint8_t>(text[i]);
    if (byte < 0x80) {
      bytes += text[i];
    } else {
      bytes += static_cast<char>((byte & 0x03) << 6 | (static_cast<uint8_t>(text[++i]) & 0x3f));
    }
  }
  return bytes;
}

std::string repeated(const std::string& text, int64_t times) {
  std::string all;
  for (int64_t i = 0; i < times; i++) all += text;
  return all;
}

// A string, or a list of strings and of { text, times }.
std::string bytes_at(toml::node_view<const toml::node> node) {
  if (const auto text = node.value<std::string>()) return bytes_of(*text);
  std::string all;
  for (const toml::node& part : *node.as_array()) {
    if (const auto text = part.value<std::string>()) {
      all += bytes_of(*text);
      continue;
    }
    const toml::table& repeat = *part.as_table();
    all += repeated(bytes_of(*repeat["text"].value<std::string>()), *repeat["times"].value<int64_t>());
  }
  return all;
}

std::optional<std::string> optional_bytes(const toml::table& table, std::string_view key) {
  if (!table.contains(key)) return std::nullopt;
  return bytes_at(table[key]);
}

std::optional<std::vector<std::string>> names_at(const toml::table& table, std::string_view key) {
  const toml::array* array = table[key].as_array();
  if (array == nullptr) return std::nullopt;
  std::vector<std::string> names;
  for (const toml::node& name : *array) names.push_back(*name.value<std::string>());
  return names;
}

Case case_of(const toml::table& table) {
  Case c;
  c.name = table["name"].value_or("");
  c.side = table["side"].value_or("");
  c.level = table["level"].value_or("");
  c.bytes = bytes_at(table["bytes"]);
  c.refused_with = table["expect"].value_or(0);
  c.request_method = table["request_method"].value_or("GET");
  c.method = optional_bytes(table, "method");
  c.target = optional_bytes(table, "target");
  c.path = optional_bytes(table, "path");
  c.query = optional_bytes(table, "query");
  c.authority = optional_bytes(table, "authority");
  c.framing = optional_bytes(table, "framing");
  c.reason = optional_bytes(table, "reason");
  c.body = optional_bytes(table, "body");
  c.rest = optional_bytes(table, "rest");
  c.content_length = table["content_length"].value<int64_t>();
  c.field_count = table["field_count"].value<int64_t>();
  c.status = table["status"].value<int64_t>();
  c.keep_alive = table["keep_alive"].value<bool>();
  c.expect_continue = table["expect_continue"].value<bool>();
  c.upgrade = table["upgrade"].value<bool>();
  c.http_1_0 = table["http_1_0"].value<bool>();
  c.upstream_requests = table["upstream_requests"].value<int64_t>();
  c.server_status = table["server_expect"].value<int64_t>();
  c.server_breaks = table["server_expect"].value<std::string>() == "broken";
  c.hop_by_hop = names_at(table, "hop_by_hop");
  return c;
}

}  // namespace

std::vector<Case> parser_cases(const std::string& side) {
  const toml::table file = toml::parse_file(TERRACE_SOURCE_DIR "/tests/http/cases.toml");
  std::vector<Case> cases;
  for (const toml::node& node : *file["case"].as_array()) {
    Case c = case_of(*node.as_table());
    if (c.side == side && c.level != "server") cases.push_back(std::move(c));
  }
  EXPECT_GT(cases.size(), 20u) << side;
  return cases;
}

}  // namespace terrace::http
