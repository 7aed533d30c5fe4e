#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "certificates/authority.h"
#include "certificates/identity.h"
#include "certificates/key.h"
#include "certificates/verifier.h"

namespace terrace::certificates {

// The files in which a server keeps what this library makes. Each is written whole,
// keys for their owner's eyes alone (0600), so that a power cut leaves the old one or
// the new one. Calls block on the disk.
//
//   server.key     made once on this server; a renewal of a server's certificate keeps it,
//                  so that certificate and key, which etcd reads too, can never be of two
//                  pairs
//   server.crt     the certificate, and its authority's behind it
//   trust.pem      the authorities that are trusted
//   authority.pem  on two servers: certificate and key of the authority, in one file
class Folder {
 public:
  // Makes it, 0700, unless it is there.
  static Result<Folder> open(std::string path);

  // What a server shows.
  struct Own {
    std::string certificates_pem;
    std::string key_pem;  // secret
    Identity identity;
  };

  std::string key_path() const { return path_ + "/server.key"; }
  std::string certificate_path() const { return path_ + "/server.crt"; }
  std::string trust_path() const { return path_ + "/trust.pem"; }
  std::string authority_path() const { return path_ + "/authority.pem"; }

  // The server's key, made when there is none yet.
  Result<PrivateKey> key() const;
  // Refuses a certificate that is not for the key in this folder.
  Result<void> write_certificate(std::string_view pem) const;
  // A certificate with another key than before. A power cut in between leaves two that do not
  // belong together: own() is kInvalid then, and another pair has to be made.
  Result<void> write_pair(std::string_view certificates_pem, const PrivateKey& key) const;
  Result<void> write_trust(const Bundle& bundle) const;
  // kNotFound where the server has none yet.
  Result<Own> own() const;
  Result<Bundle> trust() const;

  Result<void> write_authority(const Authority& authority) const;
  // kNotFound on a server that does not hold it.
  Result<Authority> authority() const;
  Result<void> remove_authority() const;

 private:
  explicit Folder(std::string path) : path_(std::move(path)) {}
  std::string path_;
};

}  // namespace terrace::certificates
