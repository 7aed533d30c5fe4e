#pragma once

#include <string>

#include "http/message.h"
#include "lb/balance.h"
#include "net/address.h"

namespace terrace::lb {

// What a pool looks at to send equal requests to the same backend.
struct KeySource {
  enum class Kind : uint8_t { kNothing, kAddress, kHeader, kCookie };
  Kind kind = Kind::kNothing;
  std::string name;  // of the header, in any case, or of the cookie
};

// The key of a request from `client`: none when the header or the cookie is missing or
// empty. The same on every core and load balancer of every site.
Key key_of(const KeySource& source, const http::RequestHead& request, const net::Ip& client);

// The same of the address alone, where there is no request to look at.
Key key_of(const net::Ip& client);

}  // namespace terrace::lb
