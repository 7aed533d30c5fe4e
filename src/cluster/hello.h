#pragma once

// The first messages on a control channel (channel.h): who is there, and what is asked.
//
//   {"channel": {"from": 1, "to": 1}, "server": "web1", "program": "0.1.0",
//    "time_ms": 1764000000000}
//
// Both sides say this, the asking one first. "channel" are the versions that it speaks;
// the highest that both know is spoken. "server" is "" for one that has no certificate
// yet, else the name in its certificate. "time_ms" is its wall clock, since 1970: servers
// tell each other when their clocks differ, and need no clock that is right.
//
//   {"request": "status", …}
//
// Then the request. What a reader does not know in either of them it ignores.

#include <cstdint>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/result.h"

namespace terrace::cluster {

constexpr int64_t kChannelVersion = 1;
constexpr size_t kHelloBytesMax = 4096;
constexpr size_t kRequestNameBytesMax = 32;
// Clocks that differ by more are said so.
constexpr std::chrono::seconds kClockDifferenceMax{5};

struct Hello {
  int64_t from = kChannelVersion;
  int64_t to = kChannelVersion;
  std::string server;
  std::string program;
  std::chrono::milliseconds time{0};
  bool operator==(const Hello&) const = default;
};

std::string to_json(const Hello& hello);
// kInvalid when something is missing, of another type or beyond its limit.
Result<Hello> parse_hello(std::string_view text);

// The version that both speak; 0: there is none.
int64_t common_version(const Hello& ours, const Hello& theirs);

// The word behind "request": lower-case letters and `-`. kInvalid when it is none.
Result<std::string> request_name(std::string_view message);

}  // namespace terrace::cluster
