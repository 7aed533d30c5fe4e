#include "certificates/key.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

namespace terrace::certificates {
namespace {

// An encrypted key must not make the library ask for a password on the terminal.
int no_password(char*, int, int, void*) { return 0; }

struct FreeRequest {
  void operator()(X509_REQ* request) const { X509_REQ_free(request); }
};
using RequestHandle = std::unique_ptr<X509_REQ, FreeRequest>;

}  // namespace

Result<PrivateKey> PrivateKey::make() {
  KeyHandle key(EVP_EC_gen("P-256"));
  ERR_clear_error();
  if (!key) return fail(Code::kLimit, "key", "no key could be made");
  return PrivateKey(std::move(key));
}

Result<PrivateKey> PrivateKey::parse(std::string_view pem) {
  if (pem.size() > kCertificateBytesMax) return fail(Code::kInvalid, "key", "the file is too large");
  const BioHandle bytes = reader_of(pem);
  KeyHandle key(PEM_read_bio_PrivateKey(bytes.get(), nullptr, no_password, nullptr));
  ERR_clear_error();
  if (!key) return fail(Code::kInvalid, "key", "not a private key in PEM");
  if (!is_p256(key.get())) return fail(Code::kInvalid, "key", "not a key on P-256");
  return PrivateKey(std::move(key));
}

Result<std::string> PrivateKey::pem() const {
  const BioHandle out = writer();
  const bool written =
      out && PEM_write_bio_PKCS8PrivateKey(out.get(), key_.get(), nullptr, nullptr, 0, nullptr, nullptr) == 1;
  ERR_clear_error();
  if (!written) return fail(Code::kLimit, "key", "no memory");
  return text_of(out.get());
}

Result<std::string> PrivateKey::request_pem() const {
  const RequestHandle request(X509_REQ_new());
  const BioHandle out = writer();
  const bool written = request && out && X509_REQ_set_version(request.get(), 0) == 1 &&
                       X509_REQ_set_pubkey(request.get(), key_.get()) == 1 &&
                       X509_REQ_sign(request.get(), key_.get(), EVP_sha256()) > 0 &&
                       PEM_write_bio_X509_REQ(out.get(), request.get()) == 1;
  ERR_clear_error();
  if (!written) return fail(Code::kLimit, "certificate request", "no memory");
  return text_of(out.get());
}

}  // namespace terrace::certificates
