#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

struct bio_st;
struct evp_pkey_st;
struct x509_st;

namespace terrace::certificates {

// Owners of OpenSSL's objects, so that its headers stay in our .cc files.
struct Free {
  void operator()(bio_st* bio) const;
  void operator()(evp_pkey_st* key) const;  // wipes a private key
  void operator()(x509_st* certificate) const;
};
using BioHandle = std::unique_ptr<bio_st, Free>;
using KeyHandle = std::unique_ptr<evp_pkey_st, Free>;
using CertificateHandle = std::unique_ptr<x509_st, Free>;

// A certificate of ours has about 700 bytes; more than this is not looked at.
inline constexpr size_t kCertificateBytesMax = 8192;
inline constexpr size_t kPemBytesMax = 65536;

// Reads from borrowed bytes.
BioHandle reader_of(std::string_view bytes);
// Collects what is written, for text_of().
BioHandle writer();
std::string text_of(bio_st* written);

// One certificate, and no byte after it.
Result<CertificateHandle> parse_der(std::string_view der);
// At least one and at most `count_max` blocks; no other kind of block.
Result<std::vector<CertificateHandle>> parse_pem(std::string_view pem, size_t count_max);
std::string der_of(x509_st* certificate);
std::string pem_of(x509_st* certificate);

// The only kind of key that we make and take: ECDSA on P-256.
bool is_p256(const evp_pkey_st* key);

}  // namespace terrace::certificates
