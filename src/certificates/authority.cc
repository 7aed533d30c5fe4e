#include "certificates/authority.h"

#include <openssl/bn.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>

#include <algorithm>

namespace terrace::certificates {
namespace {

struct FreeObject {
  void operator()(X509_REQ* request) const { X509_REQ_free(request); }
  void operator()(X509_EXTENSION* extension) const { X509_EXTENSION_free(extension); }
  void operator()(BIGNUM* number) const { BN_free(number); }
  void operator()(GENERAL_NAMES* names) const { GENERAL_NAMES_free(names); }
};
using RequestHandle = std::unique_ptr<X509_REQ, FreeObject>;
using ExtensionHandle = std::unique_ptr<X509_EXTENSION, FreeObject>;
using NumberHandle = std::unique_ptr<BIGNUM, FreeObject>;
using NamesHandle = std::unique_ptr<GENERAL_NAMES, FreeObject>;

struct ExtensionText {
  int kind;
  const char* value;
};

constexpr ExtensionText kOfAuthority[] = {
    {NID_basic_constraints, "critical,CA:TRUE,pathlen:0"},
    {NID_key_usage, "critical,keyCertSign,cRLSign"},
    {NID_subject_key_identifier, "hash"},
    {NID_authority_key_identifier, "keyid:always"},
};

// Every server is both ends of connections with the others.
constexpr ExtensionText kOfServer[] = {
    {NID_basic_constraints, "critical,CA:FALSE"},   {NID_key_usage, "critical,digitalSignature"},
    {NID_ext_key_usage, "serverAuth,clientAuth"},   {NID_subject_key_identifier, "hash"},
    {NID_authority_key_identifier, "keyid:always"},
};

std::unexpected<Error> refuse(const char* text) {
  ERR_clear_error();
  return fail(Code::kInvalid, "authority", text);
}

bool add_name(X509_NAME* name, int kind, std::string_view value) {
  return X509_NAME_add_entry_by_NID(name, kind, V_ASN1_UTF8STRING,
                                    reinterpret_cast<const unsigned char*>(value.data()),
                                    static_cast<int>(value.size()), -1, 0) == 1;
}

// 128 random bits but the first, which would make the number negative.
bool set_serial(x509_st* certificate) {
  unsigned char bytes[16];
  if (RAND_bytes(bytes, sizeof bytes) != 1) return false;
  bytes[0] = static_cast<unsigned char>((bytes[0] & 0x7f) | 0x40);
  const NumberHandle number(BN_bin2bn(bytes, sizeof bytes, nullptr));
  return number && BN_to_ASN1_INTEGER(number.get(), X509_get_serialNumber(certificate)) != nullptr;
}

time_t seconds_of(WallTime time) { return std::chrono::system_clock::to_time_t(time); }

bool set_times(x509_st* certificate, WallTime now, Duration life) {
  const WallTime end = now + std::chrono::duration_cast<WallTime::duration>(life);
  return ASN1_TIME_set(X509_getm_notBefore(certificate), seconds_of(now - kBackdated)) != nullptr &&
         ASN1_TIME_set(X509_getm_notAfter(certificate), seconds_of(end)) != nullptr;
}

bool add_extensions(x509_st* certificate, x509_st* issuer, std::span<const ExtensionText> wanted) {
  X509V3_CTX context;
  X509V3_set_ctx_nodb(&context);
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  for (const ExtensionText& one : wanted) {
    const ExtensionHandle extension(X509V3_EXT_conf_nid(nullptr, &context, one.kind, one.value));
    if (!extension || X509_add_ext(certificate, extension.get(), -1) != 1) return false;
  }
  return true;
}

bool add_alternative(GENERAL_NAMES* names, int kind, std::string_view bytes) {
  GENERAL_NAME* name = GENERAL_NAME_new();
  ASN1_STRING* value = kind == GEN_DNS ? static_cast<ASN1_STRING*>(ASN1_IA5STRING_new())
                                       : static_cast<ASN1_STRING*>(ASN1_OCTET_STRING_new());
  if (name == nullptr || value == nullptr ||
      ASN1_STRING_set(value, bytes.data(), static_cast<int>(bytes.size())) != 1 ||
      sk_GENERAL_NAME_push(names, name) == 0) {
    GENERAL_NAME_free(name);
    ASN1_STRING_free(value);
    return false;
  }
  GENERAL_NAME_set0_value(name, kind, value);
  return true;
}

// Built from values and not from text: no name can bring another one in.
bool add_alternatives(x509_st* certificate, const Subject& subject) {
  const NamesHandle names(GENERAL_NAMES_new());
  if (!names || !add_alternative(names.get(), GEN_DNS, subject.server)) return false;
  for (const std::string& name : subject.names) {
    if (!add_alternative(names.get(), GEN_DNS, name)) return false;
  }
  for (const net::Ip& ip : subject.addresses) {
    const std::string_view bytes(reinterpret_cast<const char*>(ip.bytes.data()), ip.bytes.size());
    if (!add_alternative(names.get(), GEN_IPADD, ip.is_v4() ? bytes.substr(12) : bytes)) return false;
  }
  return X509_add1_ext_i2d(certificate, NID_subject_alt_name, names.get(), 0, X509V3_ADD_DEFAULT) == 1;
}

bool set_subject(x509_st* certificate, std::string_view site, const Subject& subject) {
  X509_NAME* name = X509_get_subject_name(certificate);
  std::vector<std::string> roles = subject.roles;
  std::ranges::sort(roles);
  bool set = add_name(name, NID_organizationName, site) && add_name(name, NID_commonName, subject.server);
  for (const std::string& role : roles) set = set && add_name(name, NID_organizationalUnitName, role);
  if (subject.use == Use::kTraffic) set = set && add_name(name, NID_title, kTrafficMark);
  return set;
}

const char* objection(const Subject& subject, Duration life) {
  if (!is_name(subject.server)) return "the server's name cannot stand in a certificate";
  if (subject.roles.size() > kRolesMax) return "too many roles";
  if (!std::ranges::all_of(subject.roles, is_name)) return "a role's name cannot stand in a certificate";
  if (subject.addresses.size() > kRolesMax) return "too many addresses";
  if (subject.names.size() > kRolesMax || !std::ranges::all_of(subject.names, is_name)) {
    return "a further name cannot stand in a certificate";
  }
  if (life < std::chrono::seconds(1) || life > kLifeMax) return "the life of a certificate is out of bounds";
  return nullptr;
}

std::string organization_of(x509_st* certificate) {
  char text[kNameBytesMax + 2];
  const int size =
      X509_NAME_get_text_by_NID(X509_get_subject_name(certificate), NID_organizationName, text, sizeof text);
  return size > 0 ? std::string(text, static_cast<size_t>(size)) : std::string();
}

}  // namespace

Result<Request> Request::parse(std::string_view pem) {
  if (pem.size() > kBytesMax) return fail(Code::kLimit, "certificate request", "too large");
  const auto malformed = [](const char* text) {
    ERR_clear_error();
    return fail(Code::kInvalid, "certificate request", text);
  };
  if (!pem.starts_with("-----BEGIN CERTIFICATE REQUEST-----\n")) return malformed("not in PEM");
  const BioHandle bytes = reader_of(pem);
  const RequestHandle request(PEM_read_bio_X509_REQ(bytes.get(), nullptr, nullptr, nullptr));
  if (!request) return malformed("not a certificate request");
  if (BIO_eof(bytes.get()) == 0) return malformed("something stands behind it");
  KeyHandle key(X509_REQ_get_pubkey(request.get()));
  if (!is_p256(key.get())) return malformed("its key is not on P-256");
  if (X509_NAME_entry_count(X509_REQ_get_subject_name(request.get())) != 0 ||
      X509_REQ_get_attr_count(request.get()) != 0) {
    return malformed("it asks for a name or more; that is the authority's to say");
  }
  if (X509_REQ_verify(request.get(), key.get()) != 1) return malformed("its signature is not good");
  return Request(std::move(key));
}

std::string Request::key_hash() const {
  unsigned char* der = nullptr;
  const int length = i2d_PUBKEY(public_key_.get(), &der);
  if (length <= 0) return {};
  const std::string_view bytes(reinterpret_cast<const char*>(der), static_cast<size_t>(length));
  const std::string hash = fingerprint_of(bytes).print();
  OPENSSL_free(der);
  return hash;
}

Authority::Authority(PrivateKey key, CertificateHandle certificate)
    : key_(std::move(key)),
      certificate_(std::move(certificate)),
      site_(organization_of(certificate_.get())),
      certificate_pem_(pem_of(certificate_.get())),
      fingerprint_(fingerprint_of(der_of(certificate_.get()))) {}

Result<Authority> Authority::make(std::string_view site, WallTime now) {
  if (!is_name(site)) return refuse("the site's id cannot stand in a certificate");
  Result<PrivateKey> key = PrivateKey::make();
  CertificateHandle certificate(X509_new());
  if (!key || !certificate) return refuse("no memory");
  x509_st* x509 = certificate.get();
  X509_NAME* name = X509_get_subject_name(x509);
  const bool made = X509_set_version(x509, X509_VERSION_3) == 1 && set_serial(x509) &&
                    add_name(name, NID_organizationName, site) &&
                    add_name(name, NID_commonName, "authority") && X509_set_issuer_name(x509, name) == 1 &&
                    set_times(x509, now, kAuthorityLife) && X509_set_pubkey(x509, key->handle()) == 1 &&
                    add_extensions(x509, x509, kOfAuthority) &&
                    X509_sign(x509, key->handle(), EVP_sha256()) > 0;
  if (!made) return refuse("it could not be made");
  ERR_clear_error();
  return Authority(std::move(*key), std::move(certificate));
}

Result<Authority> Authority::load(std::string_view certificate_pem, std::string_view key_pem) {
  Result<std::vector<CertificateHandle>> all = parse_pem(certificate_pem, 1);
  if (!all) return std::unexpected(all.error());
  Result<PrivateKey> key = PrivateKey::parse(key_pem);
  if (!key) return std::unexpected(key.error());
  x509_st* certificate = all->front().get();
  if (X509_check_ca(certificate) != 1) return refuse("not the certificate of an authority");
  if (X509_check_private_key(certificate, key->handle()) != 1)
    return refuse("the key is of another authority");
  Authority loaded(std::move(*key), std::move(all->front()));
  if (!is_name(loaded.site_)) return refuse("its certificate names no site");
  ERR_clear_error();
  return loaded;
}

Result<std::string> Authority::sign(const Request& request, const Subject& subject, WallTime now,
                                    Duration life) const {
  if (const char* text = objection(subject, life)) return refuse(text);
  const CertificateHandle certificate(X509_new());
  if (!certificate) return refuse("no memory");
  x509_st* x509 = certificate.get();
  const bool made = X509_set_version(x509, X509_VERSION_3) == 1 && set_serial(x509) &&
                    set_subject(x509, site_, subject) &&
                    X509_set_issuer_name(x509, X509_get_subject_name(certificate_.get())) == 1 &&
                    set_times(x509, now, life) && X509_set_pubkey(x509, request.public_key_.get()) == 1 &&
                    add_extensions(x509, certificate_.get(), kOfServer) && add_alternatives(x509, subject) &&
                    X509_sign(x509, key_.handle(), EVP_sha256()) > 0;
  if (!made) return refuse("the certificate could not be made");
  ERR_clear_error();
  return pem_of(x509) + certificate_pem_;
}

}  // namespace terrace::certificates
