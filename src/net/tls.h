#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"

struct ssl_ctx_st;
struct ssl_st;
struct bio_method_st;

namespace terrace::net {

// TLS 1.3 (RFC 8446) in a Stream: Stream::start_tls() makes the handshake, after
// that the stream reads and writes as before. Nothing older is spoken, sessions are
// never resumed (each connection shows its certificate again, so a revocation holds
// from the next one on), and no name is sent in the clear. The machine's openssl.cnf
// is not read.
//
// Who may be at the other end is decided by a PeerVerifier and by nothing else; a
// context without one cannot be made. A context never changes: to use another
// certificate or another verifier, make a new one for the connections to come. Cores
// may share it.

// What a refused peer is told (RFC 8446 section 6.2).
enum class TlsAlert : uint8_t {
  kBadCertificate,
  kUnsupportedCertificate,
  kRevoked,
  kExpired,
  kUnknownAuthority,
};

struct TlsRefusal {
  TlsAlert alert = TlsAlert::kBadCertificate;
  const char* text = "";  // a literal: why, for the log of the side that refuses
};

// What the other end showed: its own certificate first, then what it sent with it.
struct PeerShown {
  std::span<const std::string_view> certificates_der;
  std::string_view expected_name;  // as given to start_tls(); empty: any
  bool is_server = false;          // the side that accepted the connection
};

class PeerVerifier {
 public:
  virtual ~PeerVerifier() = default;
  // Nothing: the peer is let in. Any core may call, at the same time; must not wait.
  // Possession of the key is checked by the handshake afterwards.
  virtual std::optional<TlsRefusal> verify(const PeerShown& shown) const = 0;
};

// At most so many certificates of a peer, and so many bytes of them, are looked at.
inline constexpr size_t kPeerCertificatesMax = 4;
inline constexpr size_t kPeerCertificatesBytesMax = 16384;

class TlsContext {
 public:
  enum class Side : uint8_t { kServer, kClient };
  struct Options {
    Side side = Side::kClient;
    // Own certificate, then what is to be sent with it. A client may have none.
    std::string certificates_pem;
    std::string key_pem;
    // Server: whether a client may come without a certificate. The verifier is not
    // asked about such a client; Stream::peer_certificate() is empty then.
    bool peer_certificate_optional = false;
    std::shared_ptr<const PeerVerifier> verifier;
    // The protocol that is spoken inside (RFC 7301), "terrace/1". A peer that does not
    // agree on it is refused. Empty: none is asked for.
    std::string protocol;
  };

  // kInvalid when key and certificate do not belong together or cannot be read.
  static Result<std::shared_ptr<const TlsContext>> make(const Options& options);
  ~TlsContext();
  // What its verifier says of a peer that showed this certificate to another context of
  // the same side: whoever changed contexts while a handshake was under way asks the new one.
  std::optional<TlsRefusal> refusal_of(std::string_view certificate_der) const;
  TlsContext(const TlsContext&) = delete;
  TlsContext& operator=(const TlsContext&) = delete;

 private:
  friend class TlsSession;
  TlsContext() = default;
  Result<void> prepare(bool peer_certificate_optional);

  ssl_ctx_st* context_ = nullptr;
  bio_method_st* socket_method_ = nullptr;
  Side side_ = Side::kClient;
  std::shared_ptr<const PeerVerifier> verifier_;
  std::string protocol_;
};

}  // namespace terrace::net
