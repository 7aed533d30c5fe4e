#pragma once

// Who may ask what on a control channel. Each request names its askers in one table
// (program/member_requests.cc); a request that is not in it is nobody's to ask.

#include <optional>
#include <span>
#include <string>
#include <string_view>

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
  // One of these roles is needed; none: every member of the site may ask.
  std::span<const std::string_view> roles;
};

// Why it may not ask, or nothing.
std::optional<certificates::Reason> refusal(const Askers& askers, const Asker& who);

}  // namespace terrace::cluster
