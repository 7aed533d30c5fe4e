#include "net/tls_session.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <utility>
#include <vector>

#include "reactor/reactor.h"

namespace terrace::net {
namespace {

// What an alert of the other end means (RFC 8446 section 6), for our log.
const char* text_of_alert(int alert) {
  switch (alert) {
    case SSL_AD_BAD_CERTIFICATE:
      return "the other end refuses our certificate";
    case SSL_AD_UNSUPPORTED_CERTIFICATE:
      return "the other end refuses our certificate: not for this use";
    case SSL_AD_CERTIFICATE_REVOKED:
      return "the other end refuses our certificate: revoked";
    case SSL_AD_CERTIFICATE_EXPIRED:
      return "the other end refuses our certificate: expired";
    case SSL_AD_UNKNOWN_CA:
      return "the other end refuses our certificate: of an authority that it does not know";
    case SSL_AD_CERTIFICATE_REQUIRED:
      return "the other end wants a certificate";
    case SSL_AD_NO_APPLICATION_PROTOCOL:
      return "the other end speaks another protocol";
    case SSL_AD_PROTOCOL_VERSION:
      return "the other end does not speak TLS 1.3";
    default:
      return "the other end gave up with an alert";
  }
}

const char* text_of_reason(int reason) {
  switch (reason) {
    case SSL_R_HTTP_REQUEST:
    case SSL_R_HTTPS_PROXY_REQUEST:
    case SSL_R_WRONG_VERSION_NUMBER:
    case SSL_R_BAD_PROTOCOL_VERSION_NUMBER:
    case SSL_R_PACKET_LENGTH_TOO_LONG:
      return "not TLS";
    case SSL_R_UNSUPPORTED_PROTOCOL:
    case SSL_R_UNKNOWN_PROTOCOL:
      return "not TLS 1.3";
    case SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE:
      return "no certificate was shown";
    case SSL_R_EXCESSIVE_MESSAGE_SIZE:
      return "the certificates are too large";
    case SSL_R_NO_APPLICATION_PROTOCOL:
      return "another protocol is spoken inside";
    default:
      break;
  }
  if (reason > SSL_AD_REASON_OFFSET && reason < SSL_AD_REASON_OFFSET + 256) {
    return text_of_alert(reason - SSL_AD_REASON_OFFSET);
  }
  return "not what TLS 1.3 allows";
}

// The verification error that OpenSSL turns into this alert (ssl_x509err2alert).
int verification_error(TlsAlert alert) {
  switch (alert) {
    case TlsAlert::kUnsupportedCertificate:
      return X509_V_ERR_INVALID_PURPOSE;
    case TlsAlert::kRevoked:
      return X509_V_ERR_CERT_REVOKED;
    case TlsAlert::kExpired:
      return X509_V_ERR_CERT_HAS_EXPIRED;
    case TlsAlert::kUnknownAuthority:
      return X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY;
    case TlsAlert::kBadCertificate:
      break;
  }
  return X509_V_ERR_CERT_REJECTED;
}

// The bytes of what the peer showed. Empty when they are more than we look at.
std::vector<std::string> shown_der(X509_STORE_CTX* store) {
  const STACK_OF(X509)* shown = X509_STORE_CTX_get0_untrusted(store);
  std::vector<std::string> all;
  const int count = sk_X509_num(shown);
  if (count < 1 || count > static_cast<int>(kPeerCertificatesMax)) return all;
  for (int i = 0; i < count; ++i) {
    unsigned char* bytes = nullptr;
    const int size = i2d_X509(sk_X509_value(shown, i), &bytes);
    if (size <= 0) return {};
    all.emplace_back(reinterpret_cast<const char*>(bytes), static_cast<size_t>(size));
    OPENSSL_free(bytes);
  }
  return all;
}

}  // namespace

// What OpenSSL calls: the socket as its BIO, and who decides about certificates.
struct TlsSession::Callbacks {
  static TlsSession& of(BIO* bio) { return *static_cast<TlsSession*>(BIO_get_data(bio)); }

  static int read(BIO* bio, char* into, int size) {
    TlsSession& session = of(bio);
    BIO_clear_retry_flags(bio);
    const ssize_t n = ::recv(session.socket_, into, static_cast<size_t>(size), 0);
    if (n == 0) session.socket_ended_ = true;
    if (n >= 0) return static_cast<int>(n);
    if (errno != EAGAIN) {
      session.broke("recv");
      return -1;
    }
    session.watch_.readable = false;
    BIO_set_retry_read(bio);
    return -1;
  }

  // Takes everything: what the socket does not take waits in unsent_.
  static int write(BIO* bio, const char* bytes, int size) {
    TlsSession& session = of(bio);
    BIO_clear_retry_flags(bio);
    if (session.broken_ || session.unsent_.size() + static_cast<size_t>(size) > kUnsentBytesMax) return -1;
    size_t sent = 0;
    if (session.unsent_.empty()) {
      const Result<size_t> n = session.send_now({bytes, static_cast<size_t>(size)});
      if (!n) return -1;
      sent = *n;
    }
    session.unsent_.append(bytes + sent, static_cast<size_t>(size) - sent);
    return size;
  }

  static long control(BIO* bio, int command, long, void*) {
    if (command == BIO_CTRL_FLUSH) return 1;
    if (command == BIO_CTRL_EOF) return of(bio).socket_ended_ ? 1 : 0;
    return 0;
  }

  static int verify(X509_STORE_CTX* store, void*) {
    SSL* session = static_cast<SSL*>(X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx()));
    return static_cast<TlsSession*>(SSL_get_app_data(session))->verify(store);
  }

  static int choose_protocol(SSL*, const unsigned char** chosen, unsigned char* chosen_size,
                             const unsigned char* offered, unsigned offered_size, void* own) {
    const std::string& list = *static_cast<const std::string*>(own);
    unsigned char* found = nullptr;
    const int result =
        SSL_select_next_proto(&found, chosen_size, reinterpret_cast<const unsigned char*>(list.data()),
                              static_cast<unsigned>(list.size()), offered, offered_size);
    *chosen = found;
    return result == OPENSSL_NPN_NEGOTIATED ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_ALERT_FATAL;
  }
};

Result<void> TlsContext::prepare(bool peer_certificate_optional) {
  using Callbacks = TlsSession::Callbacks;
  socket_method_ = BIO_meth_new(BIO_TYPE_SOURCE_SINK, "stream");
  if (socket_method_ == nullptr) return fail(Code::kLimit, "tls context", "no memory");
  BIO_meth_set_read(socket_method_, Callbacks::read);
  BIO_meth_set_write(socket_method_, Callbacks::write);
  BIO_meth_set_ctrl(socket_method_, Callbacks::control);
  const bool optional = side_ == Side::kServer && peer_certificate_optional;
  SSL_CTX_set_verify(context_, SSL_VERIFY_PEER | (optional ? 0 : SSL_VERIFY_FAIL_IF_NO_PEER_CERT), nullptr);
  SSL_CTX_set_cert_verify_callback(context_, Callbacks::verify, nullptr);
  if (protocol_.empty()) return {};
  if (side_ == Side::kServer) {
    SSL_CTX_set_alpn_select_cb(context_, Callbacks::choose_protocol, &protocol_);
  } else if (SSL_CTX_set_alpn_protos(context_, reinterpret_cast<const unsigned char*>(protocol_.data()),
                                     static_cast<unsigned>(protocol_.size())) != 0) {
    return fail(Code::kLimit, "tls context", "no memory");
  }
  return {};
}

TlsSession::TlsSession(std::shared_ptr<const TlsContext> context, Watch& watch, int socket)
    : context_(std::move(context)), watch_(watch), socket_(socket) {}

TlsSession::~TlsSession() {
  SSL_free(session_);
  ERR_clear_error();
}

Result<std::unique_ptr<TlsSession>> TlsSession::make(std::shared_ptr<const TlsContext> context, Watch& watch,
                                                     int socket, std::string_view expected_name) {
  std::unique_ptr<TlsSession> made(new TlsSession(std::move(context), watch, socket));
  made->expected_name_ = expected_name;
  made->session_ = SSL_new(made->context_->context_);
  BIO* bio = BIO_new(made->context_->socket_method_);
  if (made->session_ == nullptr || bio == nullptr) {
    BIO_free(bio);
    return fail(Code::kLimit, "tls", "no memory");
  }
  BIO_set_data(bio, made.get());
  BIO_set_init(bio, 1);
  SSL_set_bio(made->session_, bio, bio);
  SSL_set_app_data(made->session_, made.get());
  if (made->context_->side_ == TlsContext::Side::kServer) {
    SSL_set_accept_state(made->session_);
  } else {
    SSL_set_connect_state(made->session_);
  }
  return made;
}

// Asked once in a handshake, when the peer's certificates are there.
int TlsSession::verify(X509_STORE_CTX* store) {
  const std::vector<std::string> der = shown_der(store);
  const std::vector<std::string_view> views(der.begin(), der.end());
  const bool peer_is_server = context_->side_ == TlsContext::Side::kClient;
  std::optional<TlsRefusal> refusal = TlsRefusal{.text = "too many certificates were shown"};
  if (!views.empty()) {
    refusal = context_->verifier_->verify(
        {.certificates_der = views, .expected_name = expected_name_, .is_server = peer_is_server});
  }
  if (!refusal) {
    peer_certificate_ = der.front();
    X509_STORE_CTX_set_error(store, X509_V_OK);
    return 1;
  }
  if (!der.empty()) refused_certificate_ = der.front();
  refused_ = {.code = Code::kInvalid, .place = "peer certificate", .text = refusal->text};
  X509_STORE_CTX_set_error(store, verification_error(refusal->alert));
  return 0;
}

// The agreed protocol must be ours: a peer that names none is not asked by OpenSSL.
bool TlsSession::protocol_agreed() const {
  if (context_->protocol_.empty()) return true;
  const unsigned char* agreed = nullptr;
  unsigned size = 0;
  SSL_get0_alpn_selected(session_, &agreed, &size);
  const std::string_view wanted = std::string_view(context_->protocol_).substr(1);
  return std::string_view(reinterpret_cast<const char*>(agreed), size) == wanted;
}

Result<void> TlsSession::handshake_now() {
  if (broken_) return std::unexpected(failed_);
  const Result<void> left = flush();
  if (!left) return left;
  ERR_clear_error();
  const int returned = ready_ ? 1 : SSL_do_handshake(session_);
  if (returned != 1) {
    return fail_session("tls handshake", returned);
  }
  if (!protocol_agreed()) {
    broken_ = true;
    failed_ = {.code = Code::kInvalid, .place = "tls handshake", .text = "another protocol is spoken inside"};
    return std::unexpected(failed_);
  }
  ready_ = true;
  const Result<void> flushed = flush();
  if (!flushed) return flushed;
  // Bytes of the peer may have come with the end of its handshake.
  watch_.readable = true;
  return {};
}

void TlsSession::broke(const char* place) {
  broken_ = true;
  const bool gone = errno == ECONNRESET || errno == EPIPE || errno == ETIMEDOUT;
  failed_ = {.code = gone ? Code::kClosed : Code::kSystem, .system = errno, .place = place};
}

// What a call that did not succeed means. All but kWouldBlock is for good.
std::unexpected<Error> TlsSession::fail_session(const char* place, int returned) {
  const int problem = SSL_get_error(session_, returned);
  const unsigned long queued = ERR_peek_error();
  ERR_clear_error();
  if (broken_) return std::unexpected(failed_);
  if (problem == SSL_ERROR_WANT_READ) return fail(Code::kWouldBlock, place);
  broken_ = true;
  failed_ = {.code = Code::kInvalid, .place = place, .text = text_of_reason(ERR_GET_REASON(queued))};
  if (socket_ended_) failed_ = {.code = Code::kClosed, .place = place, .text = "ended in the middle"};
  if (refused_.text[0] != '\0') failed_ = refused_;
  return std::unexpected(failed_);
}

Result<size_t> TlsSession::send_now(std::string_view bytes) {
  const ssize_t n = ::send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL | (more_ ? MSG_MORE : 0));
  if (n >= 0) return static_cast<size_t>(n);
  if (errno != EAGAIN) {
    broke("send");
    return std::unexpected(failed_);
  }
  watch_.writable = false;
  return 0uz;
}

// kWouldBlock while the socket does not take all that waits.
Result<void> TlsSession::flush() {
  size_t at = 0;
  while (at < unsent_.size()) {
    const Result<size_t> n = send_now(std::string_view(unsent_).substr(at));
    if (!n) return std::unexpected(n.error());
    if (*n == 0) break;
    at += *n;
  }
  if (at == unsent_.size()) {
    std::string().swap(unsent_);
    return {};
  }
  unsent_.erase(0, at);
  return fail(Code::kWouldBlock, "send");
}

Result<size_t> TlsSession::read_now(std::span<char> into) {
  if (broken_) return std::unexpected(failed_);
  if (into.empty()) return 0uz;
  if (!unsent_.empty()) (void)flush();
  ERR_clear_error();
  size_t n = 0;
  const int returned = SSL_read_ex(session_, into.data(), into.size(), &n);
  if (returned == 1) {
    // What OpenSSL holds brings no edge of the socket.
    if (SSL_has_pending(session_) == 1) watch_.readable = true;
    return n;
  }
  if (SSL_get_error(session_, returned) == SSL_ERROR_ZERO_RETURN) {
    watch_.readable = watch_.hung_up = true;
    return 0uz;
  }
  return fail_session("tls read", returned);
}

// The number of plain bytes that have left, from the front of `bytes`.
Result<size_t> TlsSession::write_record(std::string_view bytes, bool more) {
  more_ = more;
  const Result<void> flushed = flush();
  if (!flushed) return std::unexpected(flushed.error());
  if (unreported_ > 0) {
    const size_t left = std::min(unreported_, bytes.size());
    unreported_ -= left;
    return left;
  }
  ERR_clear_error();
  size_t taken = 0;
  const int returned = SSL_write_ex(session_, bytes.data(), std::min(bytes.size(), kRecordBytes), &taken);
  if (returned != 1) return fail_session("tls write", returned);
  if (unsent_.empty()) return taken;
  unreported_ = taken;
  return fail(Code::kWouldBlock, "send");
}

Result<size_t> TlsSession::write_now(std::string_view bytes, bool more) {
  if (broken_) return std::unexpected(failed_);
  size_t written = 0;
  while (written < bytes.size()) {
    const std::string_view rest = bytes.substr(written);
    const Result<size_t> n = write_record(rest, more || rest.size() > kRecordBytes);
    if (!n && n.error().code == Code::kWouldBlock && written > 0) break;
    if (!n) return n;
    written += *n;
  }
  return written;
}

// Small parts are put together: each record costs a tag and a call.
Result<size_t> TlsSession::write_now(std::span<const iovec> parts) {
  if (broken_) return std::unexpected(failed_);
  std::array<char, kRecordBytes> record;
  size_t written = 0;
  size_t part = 0;
  size_t at = 0;  // in the part
  while (part < parts.size()) {
    size_t filled = 0;
    size_t next = part;
    size_t next_at = at;
    while (next < parts.size() && filled < record.size()) {
      const size_t bytes = std::min(parts[next].iov_len - next_at, record.size() - filled);
      if (bytes > 0)
        std::memcpy(record.data() + filled, static_cast<const char*>(parts[next].iov_base) + next_at, bytes);
      filled += bytes;
      next_at += bytes;
      if (next_at < parts[next].iov_len) break;
      ++next;
      next_at = 0;
    }
    if (filled == 0) break;
    const Result<size_t> n = write_now(std::string_view(record.data(), filled), next < parts.size());
    if (!n && n.error().code == Code::kWouldBlock && written > 0) break;
    if (!n) return n;
    written += *n;
    if (*n < filled) break;
    part = next;
    at = next_at;
  }
  return written;
}

Result<size_t> TlsSession::send_file_now(int file, off_t& offset, size_t bytes) {
  std::array<char, kRecordBytes> record;
  const ssize_t n = ::pread(file, record.data(), std::min(bytes, record.size()), offset);
  if (n < 0) return fail_system("pread");
  if (n == 0) return fail(Code::kInvalid, "pread", "the file became shorter");
  const Result<size_t> written = write_now(std::string_view(record.data(), static_cast<size_t>(n)), false);
  if (written) offset += static_cast<off_t>(*written);
  return written;
}

Result<void> TlsSession::shutdown_write() {
  if (broken_) return std::unexpected(failed_);
  more_ = false;
  if (!std::exchange(end_said_, true)) {
    ERR_clear_error();
    SSL_shutdown(session_);
    ERR_clear_error();
  }
  const Result<void> flushed = flush();
  if (!flushed) return flushed;
  if (::shutdown(socket_, SHUT_WR) != 0) return fail_system("shutdown");
  return {};
}

// Not when bytes are still to leave: the peer must not take what it got for complete.
void TlsSession::say_end() {
  if (broken_ || !ready_ || end_said_ || !unsent_.empty()) return;
  end_said_ = true;
  more_ = false;
  ERR_clear_error();
  SSL_shutdown(session_);
  ERR_clear_error();
}

}  // namespace terrace::net
