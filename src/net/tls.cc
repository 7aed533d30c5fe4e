#include "net/tls.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>

#include "net/tls_session.h"

namespace terrace::net {
namespace {

// What the machine's configuration says of TLS does not hold here, and the library's
// own end at exit() would run while other threads still use it.
constexpr uint64_t kLibraryOptions = OPENSSL_INIT_NO_LOAD_CONFIG | OPENSSL_INIT_NO_ATEXIT;

constexpr const char* kCiphers = "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256";

struct FreeBio {
  void operator()(BIO* bio) const { BIO_free(bio); }
};
using Bio = std::unique_ptr<BIO, FreeBio>;

// An encrypted key must not make the library ask for a password on the terminal.
int no_password(char*, int, int, void*) { return 0; }

Bio bytes_of(std::string_view text) {
  return Bio(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
}

bool use_key(SSL_CTX* context, std::string_view pem) {
  const Bio bytes = bytes_of(pem);
  EVP_PKEY* key = PEM_read_bio_PrivateKey(bytes.get(), nullptr, no_password, nullptr);
  const bool used = key != nullptr && SSL_CTX_use_PrivateKey(context, key) == 1;
  EVP_PKEY_free(key);
  return used && SSL_CTX_check_private_key(context) == 1;
}

// The first is our own, the others are sent with it.
bool use_certificates(SSL_CTX* context, std::string_view pem) {
  const Bio bytes = bytes_of(pem);
  for (size_t i = 0; i <= kPeerCertificatesMax; ++i) {
    X509* certificate = PEM_read_bio_X509(bytes.get(), nullptr, no_password, nullptr);
    if (certificate == nullptr) return i > 0;
    const bool used = i == 0 ? SSL_CTX_use_certificate(context, certificate) == 1
                             : SSL_CTX_add1_chain_cert(context, certificate) == 1;
    X509_free(certificate);
    if (!used) return false;
  }
  return false;
}

// A length byte and the name (RFC 7301 section 3.1).
std::string protocol_list(std::string_view name) {
  return std::string(1, static_cast<char>(name.size())).append(name);
}

void set_versions(SSL_CTX* context) {
  SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION);
  SSL_CTX_set_max_proto_version(context, TLS1_3_VERSION);
  SSL_CTX_set_ciphersuites(context, kCiphers);
  SSL_CTX_set1_groups_list(context, "X25519:P-256");
  SSL_CTX_set_max_cert_list(context, kPeerCertificatesBytesMax);
}

// No session is resumed: a resumed one would not be asked for its certificate again.
void set_sessions(SSL_CTX* context) {
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_options(context, SSL_OP_NO_TICKET | SSL_OP_NO_RENEGOTIATION | SSL_OP_CIPHER_SERVER_PREFERENCE);
  SSL_CTX_set_num_tickets(context, 0);
  SSL_CTX_set_max_early_data(context, 0);
}

// An idle connection keeps no record buffers (32 KiB of them otherwise), and one call
// of the kernel reads header and record together.
void set_buffers(SSL_CTX* context) {
  SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                                SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  SSL_CTX_set_read_ahead(context, 1);
}

}  // namespace

Result<std::shared_ptr<const TlsContext>> TlsContext::make(const Options& options) {
  const auto refuse = [](const char* text) {
    ERR_clear_error();
    return fail(Code::kInvalid, "tls context", text);
  };
  const bool server = options.side == Side::kServer;
  if (!options.verifier) return refuse("nobody decides who may connect");
  if (options.protocol.size() > 255) return refuse("the name of the protocol is too long");
  OPENSSL_init_ssl(kLibraryOptions, nullptr);
  std::shared_ptr<TlsContext> made(new TlsContext);
  made->side_ = options.side;
  made->verifier_ = options.verifier;
  made->protocol_ = options.protocol.empty() ? "" : protocol_list(options.protocol);
  made->context_ = SSL_CTX_new(server ? TLS_server_method() : TLS_client_method());
  if (made->context_ == nullptr) return refuse("no memory");
  set_versions(made->context_);
  set_sessions(made->context_);
  set_buffers(made->context_);
  if (server || !options.certificates_pem.empty()) {
    if (!use_certificates(made->context_, options.certificates_pem))
      return refuse("no certificate of our own");
    if (!use_key(made->context_, options.key_pem))
      return refuse("the key does not belong to the certificate");
  }
  const Result<void> prepared = made->prepare(options.peer_certificate_optional);
  if (!prepared) return std::unexpected(prepared.error());
  return made;
}

std::optional<TlsRefusal> TlsContext::refusal_of(std::string_view certificate_der) const {
  return verifier_->verify({.certificates_der = std::span(&certificate_der, 1),
                            .expected_name = "",
                            .is_server = side_ == Side::kClient});
}

TlsContext::~TlsContext() {
  SSL_CTX_free(context_);
  BIO_meth_free(socket_method_);
}

}  // namespace terrace::net
