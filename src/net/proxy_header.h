#pragma once

#include <span>
#include <string_view>

#include "base/result.h"
#include "net/address.h"
#include "net/stream.h"

namespace terrace::net {

// The PROXY protocol, version 2 only (proxy-protocol.txt of HAProxy, section 2.2): in
// front of the first byte of a connection a proxy says whom it speaks for. It is believed
// from peers that the site names, and they must send it: there is no way back to a
// connection without one, else anybody could choose an address for himself.

struct ProxyHeader {
  // The proxy speaks for itself, as in its health checks, or does not say for whom: the
  // connection's own addresses count.
  bool local = false;
  Peer source;
  Peer destination;
};

// Together with what a proxy may say beside the addresses; longer ones are refused.
constexpr size_t kProxyHeaderBytesMax = 2048;

struct ParsedProxyHeader {
  ProxyHeader header;
  size_t bytes = 0;  // what follows belongs to the connection
};

// Reads the header in front of what was received. kWouldBlock: so far it is one, but not
// whole; kLimit: it is too long; kInvalid: it is none, or of another transport than TCP, or
// its checksum (section 2.2.3) is wrong.
Result<ParsedProxyHeader> parse_proxy_header(std::string_view received);

// Takes the header off the stream, and not one byte more. Errors as above, those of the
// stream, kClosed when it ends before the header does.
Task<Result<ProxyHeader>> receive_proxy_header(Stream& stream, Time deadline);

constexpr size_t kProxyHeaderWrittenBytesMax = 16 + 36;
// Writes a header into `into`, which holds so many bytes or more; returns how many it took.
size_t write_proxy_header(const ProxyHeader& header, std::span<char> into);

// CRC32C (RFC 3720 appendix B.4), for a few bytes.
uint32_t crc32c(std::string_view bytes);

}  // namespace terrace::net
