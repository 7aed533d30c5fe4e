#include "certificates/forgery.h"

#include <openssl/asn1.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

namespace terrace::certificates {
namespace {

void add_name(X509_NAME* name, int kind, const std::string& value) {
  X509_NAME_add_entry_by_NID(name, kind, V_ASN1_UTF8STRING,
                             reinterpret_cast<const unsigned char*>(value.data()),
                             static_cast<int>(value.size()), -1, 0);
}

void add_extension(x509_st* certificate, x509_st* issuer, int kind, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx_nodb(&context);
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, &context, kind, value.c_str());
  ASSERT(extension != nullptr);
  X509_add_ext(certificate, extension, -1);
  X509_EXTENSION_free(extension);
}

KeyHandle key_of(const std::string& pem) {
  const BioHandle bytes = reader_of(pem);
  return KeyHandle(PEM_read_bio_PrivateKey(bytes.get(), nullptr, nullptr, nullptr));
}

std::string key_pem(evp_pkey_st* key) {
  const BioHandle out = writer();
  PEM_write_bio_PKCS8PrivateKey(out.get(), key, nullptr, nullptr, 0, nullptr, nullptr);
  return text_of(out.get());
}

}  // namespace

Holder forge(const Forgery& forgery) {
  const KeyHandle key(EVP_EC_gen(forgery.curve));
  const CertificateHandle certificate(X509_new());
  x509_st* x509 = certificate.get();
  const bool self_signed = forgery.issuer.key_pem.empty();
  std::vector<CertificateHandle> issuers;
  if (!self_signed) issuers = parse_pem(forgery.issuer.certificates_pem, 4).value();
  x509_st* issuer = self_signed ? x509 : issuers.front().get();
  const KeyHandle signer = key_of(self_signed ? key_pem(key.get()) : forgery.issuer.key_pem);
  X509_set_version(x509, X509_VERSION_3);
  ASN1_INTEGER_set(X509_get_serialNumber(x509), 4711);
  add_name(X509_get_subject_name(x509), NID_organizationName, forgery.site);
  add_name(X509_get_subject_name(x509), NID_commonName, forgery.server);
  for (const std::string& title : forgery.titles) add_name(X509_get_subject_name(x509), NID_title, title);
  X509_set_issuer_name(x509, X509_get_subject_name(issuer));
  ASN1_TIME_set(X509_getm_notBefore(x509), std::chrono::system_clock::to_time_t(forgery.not_before));
  ASN1_TIME_set(X509_getm_notAfter(x509), std::chrono::system_clock::to_time_t(forgery.not_after));
  X509_set_pubkey(x509, key.get());
  add_extension(x509, issuer, NID_basic_constraints, forgery.constraints);
  add_extension(x509, issuer, NID_key_usage, forgery.key_usage);
  add_extension(x509, issuer, NID_ext_key_usage, forgery.extended_key_usage);
  add_extension(x509, issuer, NID_subject_key_identifier, "hash");
  add_extension(x509, issuer, NID_authority_key_identifier, "keyid:always");
  if (forgery.comment_bytes > 0) {
    add_extension(x509, issuer, NID_netscape_comment, std::string(forgery.comment_bytes, 'x'));
  }
  const int signature = X509_sign(x509, signer.get(), EVP_sha256());
  ASSERT(signature > 0);
  return {.certificates_pem = pem_of(x509), .key_pem = key_pem(key.get())};
}

}  // namespace terrace::certificates
