#include "certificates/verifier.h"

#include <openssl/err.h>
#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>

#include <algorithm>

namespace terrace::certificates {
namespace {

struct FreeStore {
  void operator()(X509_STORE* store) const { X509_STORE_free(store); }
  void operator()(X509_STORE_CTX* context) const { X509_STORE_CTX_free(context); }
};
using StoreHandle = std::unique_ptr<X509_STORE, FreeStore>;
using VerificationHandle = std::unique_ptr<X509_STORE_CTX, FreeStore>;

// What OpenSSL says of a chain, in our words.
Reason reason_of(int error) {
  switch (error) {
    case X509_V_ERR_CERT_HAS_EXPIRED:
      return Reason::kExpired;
    case X509_V_ERR_CERT_NOT_YET_VALID:
      return Reason::kNotYetValid;
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
      return Reason::kSelfSigned;
    case X509_V_ERR_CERT_SIGNATURE_FAILURE:
      return Reason::kBadSignature;
    case X509_V_ERR_INVALID_PURPOSE:
    case X509_V_ERR_INVALID_CA:
      return Reason::kWrongUse;
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
    case X509_V_ERR_CERT_UNTRUSTED:
      return Reason::kForeignAuthority;
    default:
      return Reason::kMalformed;
  }
}

net::TlsAlert alert_of(Reason reason) {
  switch (reason) {
    case Reason::kExpired:
      return net::TlsAlert::kExpired;
    case Reason::kRevoked:
      return net::TlsAlert::kRevoked;
    case Reason::kForeignAuthority:
    case Reason::kSelfSigned:
      return net::TlsAlert::kUnknownAuthority;
    case Reason::kWrongUse:
      return net::TlsAlert::kUnsupportedCertificate;
    default:
      return net::TlsAlert::kBadCertificate;
  }
}

std::string organization_of(x509_st* certificate) {
  char text[kNameBytesMax + 2];
  const int size =
      X509_NAME_get_text_by_NID(X509_get_subject_name(certificate), NID_organizationName, text, sizeof text);
  return size > 0 ? std::string(text, static_cast<size_t>(size)) : std::string();
}

bool is_authority(x509_st* certificate) {
  return X509_check_ca(certificate) == 1 && X509_self_signed(certificate, 1) == 1 &&
         is_p256(X509_get0_pubkey(certificate));
}

// The rules of RFC 5280 strictly, at `now`, with no certificate between the peer's
// and the authority's.
void set_rules(X509_STORE_CTX* verification, bool peer_is_server, WallTime now) {
  X509_VERIFY_PARAM* rules = X509_STORE_CTX_get0_param(verification);
  X509_VERIFY_PARAM_set_time(rules, std::chrono::system_clock::to_time_t(now));
  X509_VERIFY_PARAM_set_depth(rules, 0);
  X509_VERIFY_PARAM_set_auth_level(rules, 2);
  X509_VERIFY_PARAM_set_flags(rules, X509_V_FLAG_X509_STRICT);
  X509_VERIFY_PARAM_set_purpose(rules, peer_is_server ? X509_PURPOSE_SSL_SERVER : X509_PURPOSE_SSL_CLIENT);
}

}  // namespace

const char* text_of(Reason reason) {
  switch (reason) {
    case Reason::kNoCertificate:
      return "no certificate was shown";
    case Reason::kMalformed:
      return "not a certificate of a server of this site";
    case Reason::kTooMany:
      return "too many certificates were shown";
    case Reason::kForeignAuthority:
      return "the certificate is of another authority than this site's";
    case Reason::kSelfSigned:
      return "the certificate is signed by itself";
    case Reason::kBadSignature:
      return "the signature of the certificate is not good";
    case Reason::kExpired:
      return "the certificate has expired, or a clock is wrong";
    case Reason::kNotYetValid:
      return "the certificate does not hold yet, or a clock is wrong";
    case Reason::kWrongUse:
      return "the certificate is not for this use";
    case Reason::kRevoked:
      return "the certificate was revoked";
    case Reason::kWrongSite:
      return "the certificate is of another site";
    case Reason::kWrongServer:
      return "the certificate is of another server than the one that was called";
    case Reason::kWrongRole:
      return "the certificate has not the role that this needs";
    case Reason::kNotListed:
      return "the site file on this server does not name it";
    case Reason::kRoleNotListed:
      return "the site file on this server does not give it the role that this needs";
  }
  return "";
}

Result<Bundle> Bundle::parse(std::string_view pem) {
  const Result<std::vector<CertificateHandle>> all = parse_pem(pem, kAuthoritiesMax);
  if (!all) return std::unexpected(all.error());
  const auto refuse = [](const char* text) { return fail(Code::kInvalid, "authorities", text); };
  Bundle bundle;
  for (const CertificateHandle& one : *all) {
    if (!is_authority(one.get())) return refuse("not the certificate of an authority");
    const std::string site = organization_of(one.get());
    if (!is_name(site)) return refuse("an authority that names no site");
    if (!bundle.site_.empty() && bundle.site_ != site) return refuse("authorities of two sites");
    const Fingerprint fingerprint = fingerprint_of(der_of(one.get()));
    if (bundle.trusts(fingerprint)) return refuse("an authority twice");
    bundle.site_ = site;
    bundle.pem_ += pem_of(one.get());
    bundle.fingerprints_.push_back(fingerprint);
  }
  return bundle;
}

std::optional<Fingerprint> signer_of(std::string_view certificates_pem) {
  const Result<std::vector<CertificateHandle>> all = parse_pem(certificates_pem, net::kPeerCertificatesMax);
  if (!all || all->size() < 2) return std::nullopt;
  return fingerprint_of(der_of((*all)[1].get()));
}

bool Bundle::trusts(const Fingerprint& authority) const {
  return std::ranges::find(fingerprints_, authority) != fingerprints_.end();
}

Result<Bundle> Bundle::with(std::string_view authority_pem) const {
  const Result<Bundle> other = parse(authority_pem);
  if (!other) return other;
  if (other->fingerprints_.size() != 1) return fail(Code::kInvalid, "authorities", "one at a time");
  if (trusts(other->fingerprints_.front())) return *this;
  return parse(pem_ + other->pem_);
}

Result<Bundle> Bundle::without(const Fingerprint& authority) const {
  const Result<std::vector<CertificateHandle>> all = parse_pem(pem_, kAuthoritiesMax);
  if (!all) return std::unexpected(all.error());
  std::string left;
  for (const CertificateHandle& one : *all) {
    if (fingerprint_of(der_of(one.get())) != authority) left += pem_of(one.get());
  }
  if (left.empty()) return fail(Code::kInvalid, "authorities", "none would be left");
  return parse(left);
}

bool Revocations::contains(const Identity& identity) const {
  if (serials.contains(identity.serial)) return true;
  const auto server = servers.find(identity.server);
  return server != servers.end() && identity.issued <= server->second;
}

void Revocations::prune(WallTime now) {
  std::erase_if(serials, [&](const auto& one) { return one.second + kBackdated < now; });
  std::erase_if(servers, [&](const auto& one) { return one.second + kLifeMax + kBackdated < now; });
}

// The authorities in the form that a verification wants.
struct Verifier::Trust {
  StoreHandle store{X509_STORE_new()};
  std::string site;

  static std::shared_ptr<const Trust> make(const std::vector<CertificateHandle>& authorities) {
    auto trust = std::make_shared<Trust>();
    for (const CertificateHandle& one : authorities) {
      // Its extensions are read now, once, and not by the first two cores at a time.
      X509_check_purpose(one.get(), -1, 0);
      if (!trust->store || X509_STORE_add_cert(trust->store.get(), one.get()) != 1) return nullptr;
      trust->site = organization_of(one.get());
    }
    return trust;
  }
};

Result<std::shared_ptr<const Verifier>> Verifier::of_site(const Bundle& bundle, Revocations revocations,
                                                          const Clock& clock, Wanted wanted) {
  const Result<std::vector<CertificateHandle>> authorities = parse_pem(bundle.pem(), kAuthoritiesMax);
  if (!authorities) return std::unexpected(authorities.error());
  std::shared_ptr<Verifier> made(new Verifier(clock));
  made->trust_ = Trust::make(*authorities);
  if (!made->trust_) return fail(Code::kLimit, "authorities", "no memory");
  made->revocations_ = std::move(revocations);
  made->wanted_ = std::move(wanted);
  return made;
}

std::shared_ptr<const Verifier> Verifier::pinned(const Fingerprint& authority, const Clock& clock) {
  std::shared_ptr<Verifier> made(new Verifier(clock));
  made->pinned_ = authority;
  return made;
}

std::expected<Identity, Reason> Verifier::check(const net::PeerShown& shown) const {
  if (shown.certificates_der.empty()) return std::unexpected(Reason::kNoCertificate);
  if (shown.certificates_der.size() > net::kPeerCertificatesMax) return std::unexpected(Reason::kTooMany);
  if (!pinned_) return check_with(*trust_, shown);
  for (const std::string_view der : shown.certificates_der.subspan(1)) {
    if (fingerprint_of(der) != *pinned_) continue;
    Result<CertificateHandle> authority = parse_der(der);
    if (!authority || !is_authority(authority->get())) break;
    std::vector<CertificateHandle> authorities;
    authorities.push_back(std::move(*authority));
    const std::shared_ptr<const Trust> trust = Trust::make(authorities);
    if (!trust) break;
    return check_with(*trust, shown);
  }
  ERR_clear_error();
  return std::unexpected(Reason::kForeignAuthority);
}

std::expected<Identity, Reason> Verifier::check_with(const Trust& trust, const net::PeerShown& shown) const {
  const Result<CertificateHandle> peer = parse_der(shown.certificates_der.front());
  const VerificationHandle verification(X509_STORE_CTX_new());
  if (!peer || !verification ||
      X509_STORE_CTX_init(verification.get(), trust.store.get(), peer->get(), nullptr) != 1) {
    return std::unexpected(Reason::kMalformed);
  }
  set_rules(verification.get(), shown.is_server, clock_.wall());
  const int verified = X509_verify_cert(verification.get());
  const int error = X509_STORE_CTX_get_error(verification.get());
  ERR_clear_error();
  if (verified != 1) return std::unexpected(reason_of(error));
  Result<Identity> identity = read_identity(peer->get());
  if (!identity) return std::unexpected(Reason::kMalformed);
  if (identity->site != trust.site) return std::unexpected(Reason::kWrongSite);
  if (!shown.expected_name.empty() && identity->server != shown.expected_name) {
    return std::unexpected(Reason::kWrongServer);
  }
  if (identity->use != wanted_.use) return std::unexpected(Reason::kWrongUse);
  if (revocations_.contains(*identity)) return std::unexpected(Reason::kRevoked);
  if (!wanted_.role.empty() && !identity->has_role(wanted_.role)) return std::unexpected(Reason::kWrongRole);
  return std::move(*identity);
}

std::optional<net::TlsRefusal> Verifier::verify(const net::PeerShown& shown) const {
  const std::expected<Identity, Reason> checked = check(shown);
  if (checked) return std::nullopt;
  return net::TlsRefusal{.alert = alert_of(checked.error()), .text = text_of(checked.error())};
}

}  // namespace terrace::certificates
