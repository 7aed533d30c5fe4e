#pragma once

// What the member tells the worker beside a TrafficCredentials record, and what the worker
// makes of it. The text is one JSON object with exactly these members:
//
//   {"certificate": PEM, "key": PEM, "trust": PEM, "revoked": {SERIAL: seconds since 1970},
//    "server": "web1", "sticky": 64 hexadecimal digits, or ""}
//
// It holds two secrets: it travels in a sealed memfd, and is written nowhere and logged
// nowhere.

#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/result.h"
#include "certificates/verifier.h"
#include "program/hop_credentials.h"

namespace terrace::program {

// All revocations of a site are one entry of its shared state, of at most 1 MiB.
constexpr size_t kTrafficCredentialsBytesMax = 2 << 20;
// Of those that were said one after the other; beyond that what is said last holds alone.
constexpr size_t kRevokedMax = 65'536;
constexpr size_t kStickySecretBytes = 32;
// The protocol that is spoken between two workers (RFC 9113 section 3.2).
inline constexpr std::string_view kHopProtocol = "h2";

struct TrafficIdentity {
  std::string certificates_pem;  // for traffic, and its authority's behind it
  std::string key_pem;           // secret
  std::string trust_pem;
  certificates::Revocations revocations;  // by serial only
  std::string server;                     // our name in [servers]
  std::string sticky_secret;              // secret; in hexadecimal; empty: not known yet
};

std::string to_text(const TrafficIdentity& identity);
// kInvalid when a member is missing, of another type or too many; kLimit when it is too long.
Result<TrafficIdentity> read_traffic_identity(std::string_view text);
// kInvalid when certificate and key are no pair, or the certificate is not for traffic, not of
// this server or not of the site of the authorities. `clock` must outlive what is made.
Result<HopCredentials> make_hop_credentials(const TrafficIdentity& identity, const Clock& clock);
// All of that, of what stands in a descriptor; the copies in between are wiped. `revoked`:
// what was said before; it is kept, and what is said now is added. A member that starts anew
// begins with a last copy that may be older, and nothing that was revoked is good again.
Result<HopCredentials> read_hop_credentials(int descriptor, const Clock& clock,
                                            certificates::Revocations& revoked);

}  // namespace terrace::program
