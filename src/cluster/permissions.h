#pragma once

// Who may ask what on a control channel. Each request names its askers in one table
// (program/member_requests.cc); a request that is not in it is nobody's to ask.

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "certificates/identity.h"
#include "certificates/verifier.h"
#include "net/address.h"

namespace terrace::cluster {

// The other end of a channel, as its certificate names it. The verifier of the handshake
// has let it pass; `identity` is empty for one that showed no certificate.
struct Asker {
  std::optional<certificates::Identity> identity;
  net::Peer from;
  // Who a refused certificate says it is, which proves nothing: for a log.
  std::string claimed;

  // For logs and people: "web1", "web1, not proven", or "a server without a certificate".
  std::string name() const;
  // "10.0.0.12"
  std::string address() const;
};

struct Askers {
  // Whoever knows the address, too: the request proves itself.
  bool strangers = false;
  // A server that the site file does not name, no more or not yet, too.
  bool unlisted = false;
  // One of these roles is needed; none: every member of the site may ask.
  std::span<const std::string_view> roles;
};

// The roles that the site file which this server has accepted gives a server; nothing when
// it has no entry there.
using Listed = std::optional<std::vector<std::string>>;

// Why it may not ask, or nothing. A role counts that its certificate says and the file, too:
// a certificate outlives the entry that it was made for.
std::optional<certificates::Reason> refusal(const Askers& askers, const Asker& who, const Listed& listed);
// Whether it is more than the file says now.
bool says_too_much(const certificates::Identity& identity, const Listed& listed);

}  // namespace terrace::cluster
