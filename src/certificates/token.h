#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/result.h"
#include "certificates/identity.h"
#include "net/address.h"

namespace terrace::certificates {

// What `terrace token` prints and `terrace join` takes: one line that a person copies.
//
//   terrace1.<base32>      RFC 4648 section 6, lower case, no padding, of
//     authority  32 bytes  SHA-256 of the authority's certificate
//     id          8        names the token in the shared state
//     secret     16        whoever has it may join, once
//     expires     8        seconds since 1970, big endian
//     address     4 or 16  of the server to ask, preceded by its length in one byte
//     port        2        big endian
//     checksum    4        the first bytes of SHA-256 of all before: a mistyped token
//                          is told from a wrong one
//
// The secret never reaches a log or the shared state, which keeps its SHA-256.
struct Token {
  static constexpr size_t kTextBytesMax = 160;

  Fingerprint authority;
  std::array<uint8_t, 8> id{};
  std::array<uint8_t, 16> secret{};
  WallTime expires;  // whole seconds
  net::Ip address;
  uint16_t port = 0;

  // A new one with id and secret from the kernel.
  static Token make(const Fingerprint& authority, const net::Ip& address, uint16_t port, WallTime expires);
  // kInvalid, with a text for the person who typed it. White space around is ignored.
  static Result<Token> parse(std::string_view text);

  std::string print() const;       // secret
  std::string id_hex() const;      // 16 digits
  std::string secret_hex() const;  // secret: what a joining server sends, over TLS
  // SHA-256 of the secret, 64 digits: what the shared state keeps.
  std::string secret_hash() const;

  bool operator==(const Token&) const = default;
};

// Whether a secret, in hexadecimal as a joining server sends it, is the one that was
// kept as `hash`. Takes the same time for every wrong secret.
bool secret_matches(std::string_view secret_hex, std::string_view hash);

}  // namespace terrace::certificates
