#pragma once

// What the keeper of a lab is asked over <run>/control.sock: one JSON object on one
// line, and one on one line in return. `lab exec` gets the machine's descriptor with it.
//
//   {"command": "status"}
//   {"command": "enter", "machine": "web1"}      a pidfd comes with the answer (SCM_RIGHTS)
//   {"command": "begin", "machine": "web1"}      starts its service now
//   {"command": "stop" | "start" | "kill" | "freeze" | "thaw", "machine": "web1"}
//   {"command": "cut", "machine": "web1", "other": "web2", "one_way": true}
//   {"command": "heal"}                          all cuts, all links
//   {"command": "heal", "machine": "web1", "other": "web2"}
//   {"command": "link", "machine": "web1", "up": false}
//   {"command": "down"}                          answered when nothing is left
//
// Every answer has "ok", and with false an "error" for a person.

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace terrace::lab {

constexpr size_t kRequestBytesMax = 4096;
constexpr size_t kAnswerBytesMax = 256 << 10;

enum class LabCommand : uint8_t {
  kStatus,
  kEnter,
  kBegin,
  kStop,
  kStart,
  kKill,
  kFreeze,
  kThaw,
  kCut,
  kHeal,
  kLink,
  kDown
};

struct Request {
  LabCommand command = LabCommand::kStatus;
  std::string machine;
  std::string other;
  bool one_way = false;
  bool up = true;
  bool operator==(const Request&) const = default;
};

const char* word(LabCommand command);

// Strict: members that the command does not know, or that it lacks, are kInvalid.
Result<Request> parse_request(std::string_view line);
// Without a line end.
std::string write_request(const Request& request);

}  // namespace terrace::lab
