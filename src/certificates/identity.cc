#include "certificates/identity.h"

#include <openssl/bn.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <ctime>

#include "certificates/handles.h"
#include "certificates/hex.h"

namespace terrace::certificates {
namespace {

constexpr int kSerialBytesMax = 16;
// The part of the subject that says what a certificate is for: `title` (RFC 4519 section
// 2.38), the function of whom it names. Versions that know of one use only refuse a
// certificate with a part that they do not know, so none of them takes it for a server's.
constexpr int kUsePart = NID_title;
// Site, server and use.
constexpr int kPartsBesideRoles = 3;
// WallTime counts nanoseconds and ends in the year 2262.
constexpr time_t kSecondsMax = 9'000'000'000;

std::unexpected<Error> refuse(const char* text) {
  ERR_clear_error();
  return fail(Code::kInvalid, "certificate", text);
}

// The value of one part of a name; nothing when it is not a name of ours.
std::optional<std::string> value_of(const X509_NAME_ENTRY* entry) {
  const ASN1_STRING* value = X509_NAME_ENTRY_get_data(entry);
  std::string text(reinterpret_cast<const char*>(ASN1_STRING_get0_data(value)),
                   static_cast<size_t>(ASN1_STRING_length(value)));
  if (ASN1_STRING_type(value) != V_ASN1_UTF8STRING || !is_name(text)) return std::nullopt;
  return text;
}

// Site, server, roles, and the use unless it is that of a server; each part has its place,
// and no other part is there.
bool read_name(X509_NAME* name, Identity& into) {
  const int parts = X509_NAME_entry_count(name);
  if (parts > static_cast<int>(kRolesMax) + kPartsBesideRoles) return false;
  for (int i = 0; i < parts; ++i) {
    const X509_NAME_ENTRY* entry = X509_NAME_get_entry(name, i);
    std::optional<std::string> value = value_of(entry);
    if (!value) return false;
    const int kind = OBJ_obj2nid(X509_NAME_ENTRY_get_object(entry));
    if (kind == NID_organizationName && into.site.empty()) {
      into.site = std::move(*value);
    } else if (kind == NID_commonName && into.server.empty()) {
      into.server = std::move(*value);
    } else if (kind == NID_organizationalUnitName) {
      into.roles.push_back(std::move(*value));
    } else if (kind == kUsePart && into.use == Use::kServer && *value == kTrafficMark) {
      into.use = Use::kTraffic;
    } else {
      return false;
    }
  }
  const bool sorted = std::ranges::is_sorted(into.roles);
  return sorted && into.roles.size() <= kRolesMax && !into.site.empty() && !into.server.empty();
}

bool read_serial(x509_st* certificate, std::string& into) {
  BIGNUM* number = ASN1_INTEGER_to_BN(X509_get0_serialNumber(certificate), nullptr);
  std::array<uint8_t, kSerialBytesMax> bytes{};
  const bool read = number != nullptr && BN_is_negative(number) == 0 && BN_is_zero(number) == 0 &&
                    BN_bn2binpad(number, bytes.data(), kSerialBytesMax) == kSerialBytesMax;
  BN_free(number);
  if (read) into = hex_of(bytes);
  return read;
}

bool read_time(const ASN1_TIME* time, WallTime& into) {
  std::tm parts{};
  if (ASN1_TIME_to_tm(time, &parts) != 1) return false;
  const time_t seconds = ::timegm(&parts);
  if (seconds < 0 || seconds > kSecondsMax) return false;
  into = WallTime(std::chrono::seconds(seconds));
  return true;
}

}  // namespace

Result<Fingerprint> Fingerprint::parse(std::string_view hex) {
  Fingerprint made;
  if (!read_hex(hex, made.bytes)) return fail(Code::kInvalid, "fingerprint", "not 64 hexadecimal digits");
  return made;
}

std::string Fingerprint::print() const { return hex_of(bytes); }

Fingerprint fingerprint_of(std::string_view der) {
  Fingerprint made;
  unsigned size = 0;
  EVP_Digest(der.data(), der.size(), made.bytes.data(), &size, EVP_sha256(), nullptr);
  return made;
}

bool is_name(std::string_view text) {
  const auto allowed = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '_' || c == '.';
  };
  return !text.empty() && text.size() <= kNameBytesMax && std::ranges::all_of(text, allowed);
}

bool Identity::has_role(std::string_view role) const { return std::ranges::binary_search(roles, role); }

Result<Identity> read_identity(std::string_view der) {
  const Result<CertificateHandle> certificate = parse_der(der);
  if (!certificate) return std::unexpected(certificate.error());
  return read_identity(certificate->get());
}

Result<Identity> read_identity(x509_st* x509) {
  Identity read;
  if (X509_get_version(x509) != X509_VERSION_3) return refuse("not an X.509 certificate of version 3");
  if (X509_check_ca(x509) != 0) return refuse("of an authority, not of a server");
  if (!is_p256(X509_get0_pubkey(x509))) return refuse("its key is not on P-256");
  if (!read_name(X509_get_subject_name(x509), read)) return refuse("it does not name a server of a site");
  if (!read_serial(x509, read.serial)) return refuse("its serial number is not one of ours");
  const bool times = read_time(X509_get0_notBefore(x509), read.issued) &&
                     read_time(X509_get0_notAfter(x509), read.expires) && read.issued < read.expires;
  if (!times) return refuse("its dates cannot be read");
  read.issued += kBackdated;
  read.fingerprint = fingerprint_of(der_of(x509));
  ERR_clear_error();
  return read;
}

bool names_address(std::string_view der, const net::Ip& address) {
  const Result<CertificateHandle> certificate = parse_der(der);
  if (!certificate) return false;
  const size_t skipped = address.is_v4() ? 12 : 0;
  const bool named = X509_check_ip(certificate->get(), address.bytes.data() + skipped,
                                   address.bytes.size() - skipped, 0) == 1;
  ERR_clear_error();
  return named;
}

Result<Identity> read_identity_pem(std::string_view pem) {
  const Result<std::vector<CertificateHandle>> all = parse_pem(pem, 1 + 2);
  if (!all) return std::unexpected(all.error());
  return read_identity(all->front().get());
}

bool has_dns_name(std::string_view pem, const std::string& name) {
  const Result<std::vector<CertificateHandle>> all = parse_pem(pem, 1 + 2);
  return all && X509_check_host(all->front().get(), name.data(), name.size(),
                                X509_CHECK_FLAG_NEVER_CHECK_SUBJECT, nullptr) == 1;
}

}  // namespace terrace::certificates
