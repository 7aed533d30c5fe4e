#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "net/address.h"

struct x509_st;

namespace terrace::certificates {

// A certificate begins so much before it is issued: the clock of a server that checks
// it may be a day behind, and then some.
inline constexpr std::chrono::hours kBackdated{48};
inline constexpr std::chrono::hours kLifeDefault{72};
inline constexpr std::chrono::hours kLifeMax{24 * 90};
inline constexpr size_t kNameBytesMax = 63;
inline constexpr size_t kRolesMax = 16;
// The `title` in the subject of a certificate for traffic; a server's has none.
inline constexpr std::string_view kTrafficMark = "traffic";

// SHA-256 of a certificate's DER.
struct Fingerprint {
  std::array<uint8_t, 32> bytes{};

  // 64 lower-case hexadecimal digits.
  static Result<Fingerprint> parse(std::string_view hex);
  std::string print() const;
  auto operator<=>(const Fingerprint&) const = default;
};
Fingerprint fingerprint_of(std::string_view der);

// Names of sites, servers and roles in certificates: letters, digits, `-`, `_`, `.`.
bool is_name(std::string_view text);

// What a certificate is good for. A server has one of each, with a key of its own: that of
// the traffic lies in the process that strangers' bytes come to, and whoever takes that one
// over shall not speak with the other servers in the server's name.
enum class Use : uint8_t {
  kServer,   // the channels on which servers of a site direct each other
  kTraffic,  // visitors' requests, from a load balancer to a web server
};

// Who a certificate says its owner is, as the site's authority has put it. It holds
// for a peer only when a Verifier has let the certificate pass.
struct Identity {
  std::string site;
  std::string server;
  std::vector<std::string> roles;  // sorted
  Use use = Use::kServer;
  std::string serial;  // 32 lower-case hexadecimal digits
  WallTime issued;
  WallTime expires;
  Fingerprint fingerprint;

  bool has_role(std::string_view role) const;
};

// Reads a server's certificate; kInvalid when it has another form than ours. Does not
// check who has signed it, nor when.
Result<Identity> read_identity(std::string_view der);
// The same of one that is parsed already, which is what takes the time.
Result<Identity> read_identity(x509_st* certificate);
// Whether a certificate holds for a server at this address.
bool names_address(std::string_view der, const net::Ip& address);
// The first certificate of a PEM file.
Result<Identity> read_identity_pem(std::string_view pem);
// Whether that one has the DNS name (Subject::names).
bool has_dns_name(std::string_view pem, const std::string& name);

}  // namespace terrace::certificates
