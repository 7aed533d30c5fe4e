#pragma once

#include <memory>
#include <string>

#include "net/tls.h"

namespace terrace::program {

// What a core needs to speak with the workers of the site's other servers: HTTP/2 inside
// mutual TLS, with a certificate that is good for visitors' requests and for nothing else.
// A new one replaces it as a whole; connections that are open stay as they are unless
// their peer would be refused now.
struct HopCredentials {
  std::shared_ptr<const net::TlsContext> serving;  // for those who come: load balancers of the site
  std::shared_ptr<const net::TlsContext> asking;   // towards web servers of the site
  std::string server;                              // our name in [servers]
  std::string serial;                              // of our certificate, for logs
  size_t authorities = 0;                          // trusted, for logs; and
  size_t revoked = 0;                              // serial numbers that are refused
  std::string sticky_secret;                       // of the site, 32 bytes; empty: not known yet
};

}  // namespace terrace::program
