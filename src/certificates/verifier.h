#pragma once

#include <expected>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "certificates/handles.h"
#include "certificates/identity.h"
#include "net/tls.h"

namespace terrace::certificates {

// The authorities that a site trusts: one, and two while it changes to a new one.
inline constexpr size_t kAuthoritiesMax = 2;

class Bundle {
 public:
  // One or two authority certificates of one site.
  static Result<Bundle> parse(std::string_view pem);

  const std::string& pem() const { return pem_; }
  const std::string& site() const { return site_; }
  const std::vector<Fingerprint>& fingerprints() const { return fingerprints_; }
  bool trusts(const Fingerprint& authority) const;
  // The first step of a rotation: both are trusted. An authority that is there already
  // stays where it is.
  Result<Bundle> with(std::string_view authority_pem) const;
  // The last step. kInvalid when it would leave none.
  Result<Bundle> without(const Fingerprint& authority) const;

 private:
  friend class Verifier;
  std::string pem_;
  std::string site_;
  std::vector<Fingerprint> fingerprints_;
};

// Who has signed what a server sends: the authority whose certificate stands behind its own.
// Nothing where none does.
std::optional<Fingerprint> signer_of(std::string_view certificates_pem);

// Certificates that hold no more although they have not ended. By serial number, with
// the end of each: an entry is needed only until then. And by server: all certificates
// of it that were issued up to that time, of whatever number.
struct Revocations {
  static constexpr size_t kMax = 4096;

  std::map<std::string, WallTime, std::less<>> serials;
  std::map<std::string, WallTime, std::less<>> servers;

  bool contains(const Identity& identity) const;
  // Drops what no certificate can need any more, on whichever clock of a day apart.
  void prune(WallTime now);
};

// Why a peer is refused.
enum class Reason : uint8_t {
  kNoCertificate,
  kMalformed,
  kTooMany,
  kForeignAuthority,
  kSelfSigned,
  kBadSignature,
  kExpired,
  kNotYetValid,
  kWrongUse,
  kRevoked,
  kWrongSite,
  kWrongServer,
  kWrongRole,  // said by whoever knows which role a request needs
  // And by whoever knows the site file:
  kNotListed,
  kRoleNotListed,
};
// For a log: "the certificate has expired, or a clock is wrong".
const char* text_of(Reason reason);

// What a certificate of the site has to be good for.
struct Wanted {
  Use use = Use::kServer;
  std::string role = {};  // "web"; empty: any
};

// Decides over the certificate that a peer shows. Immutable, for all cores; asks the
// clock at each decision. New revocations or authorities: a new verifier.
class Verifier final : public net::PeerVerifier {
 public:
  // Every server of the site but the revoked ones, with a certificate for this use and no other.
  static Result<std::shared_ptr<const Verifier>> of_site(const Bundle& bundle, Revocations revocations,
                                                         const Clock& clock, Wanted wanted = {});
  // For a server that joins, towards another's certificate as a server: it knows of the site only the
  // fingerprint of the authority. The peer must send the authority's certificate with its own.
  static std::shared_ptr<const Verifier> pinned(const Fingerprint& authority, const Clock& clock);

  std::expected<Identity, Reason> check(const net::PeerShown& shown) const;
  std::optional<net::TlsRefusal> verify(const net::PeerShown& shown) const override;

 private:
  struct Trust;
  explicit Verifier(const Clock& clock) : clock_(clock) {}
  std::expected<Identity, Reason> check_with(const Trust& trust, const net::PeerShown& shown) const;

  const Clock& clock_;
  std::shared_ptr<const Trust> trust_;
  std::optional<Fingerprint> pinned_;
  Revocations revocations_;
  Wanted wanted_;
};

}  // namespace terrace::certificates
