#pragma once

// Asks a name server, for the command line: it blocks. By c-ares rather than the C
// library's resolver: that one takes no name server but the system's without its
// internals being written to, none at all over IPv6 that way, and asks one question after the other.
// Both repeat a truncated answer over TCP (RFC 7766); the answers are read by
// the C library (ns_initparse(3)), which checks every length.

#include <chrono>
#include <string>
#include <vector>

#include "base/result.h"
#include "dns/records.h"

namespace terrace::dns {

struct ResolverOptions {
  std::string server;  // "192.0.2.53", "192.0.2.53:5353", "[2001:db8::53]:53"; empty: the system's
  // For one try at one server, of three.
  std::chrono::milliseconds patience{2000};
};

// How many CNAMEs are followed when a server does not follow them itself.
constexpr int kAliasesMax = 8;

// Answers in the order of the questions, all asked at once. kInvalid when the server's
// address is none; an unanswered question is an Answer that says why.
Result<std::vector<Answer>> ask(const std::vector<Question>& questions, const ResolverOptions& options);

}  // namespace terrace::dns
