#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "certificates/identity.h"
#include "certificates/key.h"
#include "net/address.h"

namespace terrace::certificates {

// The site's own authority: made with the second server, known to the site's servers
// and to nobody else. It signs short-lived certificates that name a server and its
// roles; no intermediate stands between. All is ECDSA on P-256 with SHA-256.
//
// Limits: a certificate ends at least a minute after it begins to be used and at most
// kLifeMax later; an authority lives for kAuthorityLife.
inline constexpr std::chrono::hours kAuthorityLife{24 * 3653};

// What a certificate says; the issuer's word, never the asker's.
struct Subject {
  std::string server;
  std::vector<std::string> roles;
  std::vector<net::Ip> addresses;
  // Further DNS names, for programs beside ours that let in by name and not by role:
  // etcd's --peer-cert-allowed-hostname.
  std::vector<std::string> names;
  Use use = Use::kServer;
};

// A request for a certificate as it comes from outside: the public key of somebody
// who has proved to hold the private one.
class Request {
 public:
  static constexpr size_t kBytesMax = 2048;
  // Strict: one PEM block, EC P-256, a good signature, no name, nothing asked for.
  static Result<Request> parse(std::string_view pem);
  // SHA-256 of the public key (SubjectPublicKeyInfo), 64 digits: who asks again with the
  // same key is the same server.
  std::string key_hash() const;

 private:
  friend class Authority;
  explicit Request(KeyHandle public_key) : public_key_(std::move(public_key)) {}
  KeyHandle public_key_;
};

class Authority {
 public:
  // `site` is the site's id, which every certificate carries.
  static Result<Authority> make(std::string_view site, WallTime now);
  // kInvalid when the key is not that of the certificate.
  static Result<Authority> load(std::string_view certificate_pem, std::string_view key_pem);

  const std::string& site() const { return site_; }
  const std::string& certificate_pem() const { return certificate_pem_; }
  const Fingerprint& fingerprint() const { return fingerprint_; }
  // Secret.
  Result<std::string> key_pem() const { return key_.pem(); }

  // The certificate and the authority's own behind it, in PEM: what a server sends.
  Result<std::string> sign(const Request& request, const Subject& subject, WallTime now, Duration life) const;

 private:
  Authority(PrivateKey key, CertificateHandle certificate);
  PrivateKey key_;
  CertificateHandle certificate_;
  std::string site_;
  std::string certificate_pem_;
  Fingerprint fingerprint_;
};

}  // namespace terrace::certificates
