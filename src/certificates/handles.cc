#include "certificates/handles.h"

#include <openssl/bio.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/obj_mac.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include <algorithm>

namespace terrace::certificates {

void Free::operator()(bio_st* bio) const { BIO_free(bio); }
void Free::operator()(evp_pkey_st* key) const { EVP_PKEY_free(key); }
void Free::operator()(x509_st* certificate) const { X509_free(certificate); }

BioHandle reader_of(std::string_view bytes) {
  return BioHandle(BIO_new_mem_buf(bytes.data(), static_cast<int>(bytes.size())));
}

BioHandle writer() { return BioHandle(BIO_new(BIO_s_secmem())); }

std::string text_of(bio_st* written) {
  char* bytes = nullptr;
  const long size = BIO_get_mem_data(written, &bytes);
  return size > 0 ? std::string(bytes, static_cast<size_t>(size)) : std::string();
}

Result<CertificateHandle> parse_der(std::string_view der) {
  if (der.empty() || der.size() > kCertificateBytesMax) {
    return fail(Code::kLimit, "certificate", "its size is not that of a certificate of ours");
  }
  const unsigned char* at = reinterpret_cast<const unsigned char*>(der.data());
  const unsigned char* end = at + der.size();
  CertificateHandle certificate(d2i_X509(nullptr, &at, static_cast<long>(der.size())));
  ERR_clear_error();
  if (!certificate || at != end) return fail(Code::kInvalid, "certificate", "not a certificate");
  return certificate;
}

Result<std::vector<CertificateHandle>> parse_pem(std::string_view pem, size_t count_max) {
  const auto refuse = [](const char* text) {
    ERR_clear_error();
    return fail(Code::kInvalid, "certificate", text);
  };
  if (pem.size() > kPemBytesMax) return refuse("the file is too large");
  const BioHandle bytes = reader_of(pem);
  std::vector<CertificateHandle> all;
  for (;;) {
    char* name = nullptr;
    char* header = nullptr;
    unsigned char* block = nullptr;
    long size = 0;
    if (PEM_read_bio(bytes.get(), &name, &header, &block, &size) != 1) break;
    const bool is_certificate = std::string_view(name) == PEM_STRING_X509;
    Result<CertificateHandle> read =
        parse_der({reinterpret_cast<const char*>(block), static_cast<size_t>(size)});
    OPENSSL_free(name);
    OPENSSL_free(header);
    OPENSSL_clear_free(block, static_cast<size_t>(size));
    if (!is_certificate) return refuse("the file holds something else than certificates");
    if (!read) return std::unexpected(read.error());
    if (all.size() == count_max) return refuse("the file holds too many certificates");
    all.push_back(std::move(*read));
  }
  const bool complete = ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;
  if (!complete) return refuse("not in PEM, or cut off");
  if (all.empty()) return refuse("no certificate");
  ERR_clear_error();
  return all;
}

std::string der_of(x509_st* certificate) {
  unsigned char* bytes = nullptr;
  const int size = i2d_X509(certificate, &bytes);
  std::string der;
  if (size > 0) der.assign(reinterpret_cast<const char*>(bytes), static_cast<size_t>(size));
  OPENSSL_free(bytes);
  return der;
}

std::string pem_of(x509_st* certificate) {
  const BioHandle out = writer();
  if (!out || PEM_write_bio_X509(out.get(), certificate) != 1) return {};
  return text_of(out.get());
}

bool is_p256(const evp_pkey_st* key) {
  if (key == nullptr || EVP_PKEY_get_base_id(key) != EVP_PKEY_EC) return false;
  char group[32];
  size_t size = 0;
  if (EVP_PKEY_get_group_name(key, group, sizeof group, &size) != 1) return false;
  return std::string_view(group, size) == SN_X9_62_prime256v1;
}

}  // namespace terrace::certificates
