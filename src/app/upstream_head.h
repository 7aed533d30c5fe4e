#pragma once

#include <span>
#include <string_view>
#include <vector>

#include "http/message.h"
#include "net/address.h"

namespace terrace::app {

// How the head of a request to an app instance is made. It is generated from
// parsed values: one Host, one framing header, no raw bytes of the client. What
// the client says of itself in X-Forwarded-*, Forwarded and X-Request-Id counts
// only when its address is one of the trusted networks.
struct UpstreamContext {
  net::Peer peer;
  std::string_view scheme;      // "http" or "https", as the client came to us
  std::string_view request_id;  // ours, or that of a trusted peer
  bool trusted = false;
};

// Writes the head into `into`; empty when it does not fit.
std::string_view write_upstream_head(const http::RequestHead& request, const UpstreamContext& context,
                                     std::span<char> into);

}  // namespace terrace::app
