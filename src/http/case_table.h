#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace terrace::http {

// One case of tests/http/cases.toml, whose head explains the keys. Absent keys are
// empty; what only matters with a real application behind us is left out.
struct Case {
  std::string name;
  std::string side;
  std::string level;
  std::string bytes;
  int refused_with = 0;  // the status, or 0 for "ok"
  std::string request_method;

  std::optional<std::string> method, target, path, query, authority, framing, reason, body, rest;
  std::optional<int64_t> content_length, field_count, status, upstream_requests;
  std::optional<bool> keep_alive, expect_continue, upgrade, http_1_0;
  std::optional<std::vector<std::string>> hop_by_hop;

  // What a server does where it differs from a parser: a status, or an error of
  // whatever kind.
  std::optional<int64_t> server_status;
  bool server_breaks = false;
};

// The cases of one side that a parser decides alone.
std::vector<Case> parser_cases(const std::string& side);

}  // namespace terrace::http
