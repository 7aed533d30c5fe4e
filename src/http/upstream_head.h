#pragma once

#include <span>
#include <string_view>
#include <vector>

#include "http/message.h"
#include "net/address.h"

namespace terrace::http {

// How the head of a request to a backend is made, an app instance or another server. It is
// generated from parsed values: one Host, one framing header, no raw bytes of the client. What
// the client says of itself in X-Forwarded-*, Forwarded and X-Request-Id counts
// only when its address is one of the trusted networks.
struct UpstreamContext {
  net::Peer peer;
  std::string_view scheme;      // "http" or "https", as the client came to us
  std::string_view request_id;  // ours, or that of a trusted peer
  bool trusted = false;
  // A load balancer of this site has sent it, and has said all that is to be said of the
  // client: nothing is added.
  bool relayed = false;
};

// Writes the head into `into`; empty when it does not fit.
std::string_view write_upstream_head(const RequestHead& request, const UpstreamContext& context,
                                     std::span<char> into);

// The same fields for HTTP/2, without Host and framing; what we add is written into `into`,
// which outlives them. False when it does not fit, or there are too many.
bool upstream_fields(const RequestHead& request, const UpstreamContext& context, std::span<char> into,
                     Fields& fields);

}  // namespace terrace::http
