#pragma once

#include <string>
#include <string_view>

#include "certificates/handles.h"

namespace terrace::certificates {

// The private key of a server or of the authority: EC P-256. It never leaves the
// server it was made on, but for the authority's, which two servers hold. What pem()
// returns is a secret: into a file of mode 0600 and nowhere else.
class PrivateKey {
 public:
  static Result<PrivateKey> make();
  // PKCS #8 in PEM, without a password.
  static Result<PrivateKey> parse(std::string_view pem);

  Result<std::string> pem() const;
  // PKCS #10 (RFC 2986) with nothing but the public key in it: name and roles are for
  // the authority to say. Signed, which proves that the asker holds the key.
  Result<std::string> request_pem() const;
  evp_pkey_st* handle() const { return key_.get(); }

 private:
  explicit PrivateKey(KeyHandle key) : key_(std::move(key)) {}
  KeyHandle key_;
};

}  // namespace terrace::certificates
