#pragma once

#include <string>

#include "certificates/handshake_fixture.h"

namespace terrace::certificates {

// A certificate as no authority of ours would sign it, for tests of who is refused.
struct Forgery {
  std::string site = "site-1";
  std::string server = "web2";
  std::vector<std::string> titles = {};  // what it says of its use
  WallTime not_before;
  WallTime not_after;
  const char* constraints = "critical,CA:FALSE";
  const char* key_usage = "critical,digitalSignature";
  const char* extended_key_usage = "serverAuth,clientAuth";
  const char* curve = "P-256";
  // Who signs: certificate and key in PEM. Empty: it signs itself.
  Holder issuer;
  size_t comment_bytes = 0;  // makes the certificate larger
};

// Its certificate alone, and its key.
Holder forge(const Forgery& forgery);

}  // namespace terrace::certificates
