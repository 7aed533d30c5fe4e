#include "certificates/revocation_list.h"

#include <openssl/bn.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

namespace terrace::certificates {
namespace {

// The file stays good for as long as nothing new is revoked.
constexpr std::chrono::hours kUpdateMax{24 * 3653};

struct FreeList {
  void operator()(X509_CRL* list) const { X509_CRL_free(list); }
  void operator()(X509_REVOKED* entry) const { X509_REVOKED_free(entry); }
  void operator()(ASN1_STRING* value) const { ASN1_STRING_free(value); }  // also of times and numbers
  void operator()(BIGNUM* number) const { BN_free(number); }
};
using ListHandle = std::unique_ptr<X509_CRL, FreeList>;
using EntryHandle = std::unique_ptr<X509_REVOKED, FreeList>;
using TimeHandle = std::unique_ptr<ASN1_TIME, FreeList>;
using IntegerHandle = std::unique_ptr<ASN1_INTEGER, FreeList>;
using NumberHandle = std::unique_ptr<BIGNUM, FreeList>;

TimeHandle time_of(WallTime time) {
  return TimeHandle(ASN1_TIME_set(nullptr, std::chrono::system_clock::to_time_t(time)));
}

bool add_serial(X509_CRL* list, const std::string& serial, const ASN1_TIME* when) {
  BIGNUM* read = nullptr;
  const int digits = BN_hex2bn(&read, serial.c_str());
  const NumberHandle number(read);
  if (digits == 0 || static_cast<size_t>(digits) != serial.size()) return false;
  const IntegerHandle integer(BN_to_ASN1_INTEGER(number.get(), nullptr));
  EntryHandle entry(X509_REVOKED_new());
  const bool made = integer && entry && X509_REVOKED_set_serialNumber(entry.get(), integer.get()) == 1 &&
                    X509_REVOKED_set_revocationDate(entry.get(), const_cast<ASN1_TIME*>(when)) == 1 &&
                    X509_CRL_add0_revoked(list, entry.get()) == 1;
  if (made) (void)entry.release();
  return made;
}

}  // namespace

Result<std::string> revocation_list(const Revocations& revocations, std::string_view signer_certificate_pem,
                                    const PrivateKey& signer, WallTime now) {
  const auto refuse = [](const char* text) {
    ERR_clear_error();
    return fail(Code::kInvalid, "revocation list", text);
  };
  const Result<std::vector<CertificateHandle>> own =
      parse_pem(signer_certificate_pem, net::kPeerCertificatesMax);
  if (!own) return std::unexpected(own.error());
  const ListHandle list(X509_CRL_new());
  const BioHandle out = writer();
  const TimeHandle began = time_of(now - kBackdated);
  const TimeHandle next = time_of(now + kUpdateMax);
  if (!list || !out || !began || !next) return refuse("no memory");
  X509_CRL_set_version(list.get(), X509_CRL_VERSION_2);
  X509_CRL_set_issuer_name(list.get(), X509_get_subject_name(own->front().get()));
  X509_CRL_set1_lastUpdate(list.get(), began.get());
  X509_CRL_set1_nextUpdate(list.get(), next.get());
  for (const auto& [serial, end] : revocations.serials) {
    if (!add_serial(list.get(), serial, began.get())) return refuse("a serial that is none");
  }
  X509_CRL_sort(list.get());
  const bool written = X509_CRL_sign(list.get(), signer.handle(), EVP_sha256()) > 0 &&
                       PEM_write_bio_X509_CRL(out.get(), list.get()) == 1;
  if (!written) return refuse("it could not be signed");
  ERR_clear_error();
  return text_of(out.get());
}

}  // namespace terrace::certificates
