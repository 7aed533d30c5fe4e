#pragma once

// What the member keeps in the shared state (cluster/state.h), as values. Each is one JSON
// object under its key; what a reader does not know in it, it ignores.
//
//   authority       the site's authority: who signs, whom to trust
//   servers/NAME    a server that has joined, with its certificates
//   tokens/ID       a token that was not used up
//   revoked         certificates that hold no more
//   site            the applied site file
//   secrets         which version of each secret there is; never a value
//   sticky          what sticky sessions are signed with (lb/sticky.h); a secret, but one that
//                   every load balancer of the site knows

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "certificates/identity.h"

namespace terrace::program {

inline constexpr std::string_view kAuthorityKey = "authority";
inline constexpr std::string_view kRevokedKey = "revoked";
inline constexpr std::string_view kSiteKey = "site";
inline constexpr std::string_view kSecretsKey = "secrets";
inline constexpr std::string_view kStickyKey = "sticky";
std::string server_key(std::string_view server);
std::string token_key(std::string_view id);

// How a new authority takes the place of the one before (member_rotation.cc).
enum class RotationPhase : uint8_t { kNone, kTrusting, kSigning };

struct AuthorityValue {
  int64_t generation = 1;
  std::string bundle;                // PEM of one or two authorities, the one that signs first
  std::vector<std::string> holders;  // servers that have its key
  RotationPhase phase = RotationPhase::kNone;
  std::string next;         // during a rotation: fingerprint of the new one; and
  std::string next_holder;  // who made it
};

struct IssuedCertificate {
  std::string serial;
  WallTime expires;
  certificates::Use use = certificates::Use::kServer;
};

struct ServerValue {
  std::string key;  // hash of its public key
  WallTime joined;
  std::vector<IssuedCertificate> certificates;  // those that have not ended
  // Fingerprints of the authorities that it trusts, and of the one that has signed the
  // certificate that it shows; it says so itself.
  std::vector<std::string> trusts;
  std::string signer;
  std::string traffic_signer;  // of its certificate for traffic; empty: it has none
};

struct TokenValue {
  std::string server;  // who may join with it
  std::string hash;    // of its secret
  WallTime expires;
  std::string key;  // hash of the public key that has used it; empty: nobody yet
};

struct RevokedValue {
  std::map<std::string, WallTime> serials;  // with the end of each
  std::map<std::string, WallTime> servers;  // when it was revoked, for people
};

struct SiteValue {
  int64_t version = 0;
  std::string text;
  std::string by;
  WallTime at;
};

struct SecretVersion {
  int64_t version = 0;
  bool removed = false;
  bool operator==(const SecretVersion&) const = default;
};
using SecretVersions = std::map<std::string, SecretVersion>;  // by name

std::string to_json(const AuthorityValue& value);
std::string to_json(const ServerValue& value);
std::string to_json(const TokenValue& value);
std::string to_json(const RevokedValue& value);
std::string to_json(const SiteValue& value);
std::string to_json(const SecretVersions& versions);
// {"secret": "…"}, of 64 hexadecimal digits.
std::string sticky_json(std::string_view secret);
// kInvalid when it is none.
Result<AuthorityValue> parse_authority(std::string_view text);
Result<ServerValue> parse_server(std::string_view text);
Result<TokenValue> parse_token(std::string_view text);
Result<RevokedValue> parse_revoked(std::string_view text);
Result<SiteValue> parse_site(std::string_view text);
Result<SecretVersions> parse_secret_versions(std::string_view text);
Result<std::string> parse_sticky(std::string_view text);

}  // namespace terrace::program
