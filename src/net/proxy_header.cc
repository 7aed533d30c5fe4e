#include "net/proxy_header.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <optional>
#include <string>

#include "base/assert.h"

namespace terrace::net {
namespace {

using std::string_view;

constexpr string_view kSignature{"\r\n\r\n\0\r\nQUIT\n", 12};
constexpr size_t kFixedBytes = 16;  // signature, version and command, family and transport, length
constexpr size_t kV4Bytes = 12;
constexpr size_t kV6Bytes = 36;

constexpr uint8_t kLocal = 0x20;  // version 2 in the high half, the command in the low
constexpr uint8_t kProxy = 0x21;
constexpr uint8_t kUnspecified = 0x00;
constexpr uint8_t kTcp4 = 0x11;
constexpr uint8_t kTcp6 = 0x21;
constexpr uint8_t kUnixStream = 0x31;
constexpr uint8_t kChecksum = 0x03;  // PP2_TYPE_CRC32C
constexpr size_t kChecksumBytes = 4;

constexpr std::unexpected<Error> bad(const char* text) { return fail(Code::kInvalid, "PROXY header", text); }

uint8_t byte_at(string_view text, size_t at) { return static_cast<uint8_t>(text[at]); }

uint16_t number_at(string_view text, size_t at) {
  return static_cast<uint16_t>(byte_at(text, at) << 8 | byte_at(text, at + 1));
}

Ip v4_at(string_view text, size_t at) {
  Ip ip;
  ip.bytes[10] = ip.bytes[11] = 0xff;
  std::memcpy(ip.bytes.data() + 12, text.data() + at, 4);
  return ip;
}

Ip v6_at(string_view text, size_t at) {
  Ip ip;
  std::memcpy(ip.bytes.data(), text.data() + at, ip.bytes.size());
  return ip;
}

// How many bytes of addresses this family and transport have; nothing for what a TCP
// connection cannot be.
std::optional<size_t> address_bytes(uint8_t family) {
  switch (family) {
    case kUnspecified:
      return 0;
    case kTcp4:
      return kV4Bytes;
    case kTcp6:
      return kV6Bytes;
    case kUnixStream:
      return 216;
    default:
      return std::nullopt;
  }
}

ProxyHeader addresses_of(uint8_t family, string_view body) {
  if (family == kTcp4)
    return {.source = {.ip = v4_at(body, 0), .port = number_at(body, 8)},
            .destination = {.ip = v4_at(body, 4), .port = number_at(body, 10)}};
  if (family == kTcp6)
    return {.source = {.ip = v6_at(body, 0), .port = number_at(body, 32)},
            .destination = {.ip = v6_at(body, 16), .port = number_at(body, 34)}};
  return {.local = true};
}

bool checksum_is_right(string_view whole, size_t at) {
  std::string zeroed(whole);
  std::fill_n(zeroed.begin() + static_cast<ptrdiff_t>(at), kChecksumBytes, '\0');
  const uint32_t said = uint32_t{number_at(whole, at)} << 16 | number_at(whole, at + 2);
  return crc32c(zeroed) == said;
}

// Type, length and value of each thing that is said beside the addresses.
Result<void> check_extras(string_view whole, size_t from) {
  for (size_t at = from; at < whole.size();) {
    constexpr size_t kHead = 3;
    if (whole.size() - at < kHead) return bad("an extension is cut off");
    const size_t length = number_at(whole, at + 1);
    if (whole.size() - at - kHead < length) return bad("an extension is longer than the header");
    if (byte_at(whole, at) == kChecksum &&
        (length != kChecksumBytes || !checksum_is_right(whole, at + kHead)))
      return bad("the checksum is wrong");
    at += kHead + length;
  }
  return {};
}

void put(std::span<char> into, size_t at, const Ip& ip, bool v4) {
  const size_t from = v4 ? 12 : 0;
  std::memcpy(into.data() + at, ip.bytes.data() + from, ip.bytes.size() - from);
}

void put(std::span<char> into, size_t at, uint16_t number) {
  into[at] = static_cast<char>(number >> 8);
  into[at + 1] = static_cast<char>(number & 0xff);
}

}  // namespace

Result<ParsedProxyHeader> parse_proxy_header(string_view received) {
  const size_t compared = std::min(received.size(), kSignature.size());
  if (received.substr(0, compared) != kSignature.substr(0, compared)) return bad("there is none");
  if (received.size() < kFixedBytes) return fail(Code::kWouldBlock, "PROXY header");
  const uint8_t command = byte_at(received, 12);
  if (command != kLocal && command != kProxy) return bad("another version, or an unknown command");
  const uint8_t family = byte_at(received, 13);
  const std::optional<size_t> addresses = address_bytes(family);
  if (!addresses && command == kProxy) return bad("this is no TCP connection");
  const size_t length = number_at(received, 14);
  if (kFixedBytes + length > kProxyHeaderBytesMax)
    return fail(Code::kLimit, "PROXY header", "it is too long");
  if (command == kProxy && length < *addresses) return bad("it is too short for its addresses");
  if (received.size() < kFixedBytes + length) return fail(Code::kWouldBlock, "PROXY header");
  const string_view whole = received.substr(0, kFixedBytes + length);
  // What LOCAL says of addresses is skipped, whatever it is.
  if (command == kLocal) return ParsedProxyHeader{.header = {.local = true}, .bytes = whole.size()};
  const Result<void> extras = check_extras(whole, kFixedBytes + *addresses);
  if (!extras) return std::unexpected(extras.error());
  return ParsedProxyHeader{.header = addresses_of(family, whole.substr(kFixedBytes)), .bytes = whole.size()};
}

// The length is known after the fixed part; until then no more than that is read.
Task<Result<ProxyHeader>> receive_proxy_header(Stream& stream, Time deadline) {
  std::array<char, kProxyHeaderBytesMax> buffer;
  size_t have = 0;
  for (;;) {
    const string_view received(buffer.data(), have);
    const Result<ParsedProxyHeader> parsed = parse_proxy_header(received);
    if (parsed) co_return parsed->header;
    if (parsed.error().code != Code::kWouldBlock) co_return std::unexpected(parsed.error());
    const size_t wanted = have < kFixedBytes ? kFixedBytes : kFixedBytes + number_at(received, 14);
    const Result<size_t> read = stream.read_now(std::span(buffer).subspan(have, wanted - have));
    if (read && *read == 0) co_return fail(Code::kClosed, "PROXY header");
    if (read) have += *read;
    if (read) continue;
    if (read.error().code != Code::kWouldBlock) co_return std::unexpected(read.error());
    const Result<void> readable = co_await stream.readable(deadline);
    if (!readable) co_return std::unexpected(readable.error());
  }
}

size_t write_proxy_header(const ProxyHeader& header, std::span<char> into) {
  ASSERT(into.size() >= kProxyHeaderWrittenBytesMax);
  const bool local = header.local || header.source.local || header.destination.local;
  const bool v4 = header.source.ip.is_v4() && header.destination.ip.is_v4();
  const size_t ip_bytes = v4 ? 4 : 16;
  const size_t length = local ? 0 : v4 ? kV4Bytes : kV6Bytes;
  std::ranges::copy(kSignature, into.begin());
  into[12] = static_cast<char>(local ? kLocal : kProxy);
  into[13] = static_cast<char>(local ? kUnspecified : v4 ? kTcp4 : kTcp6);
  put(into, 14, static_cast<uint16_t>(length));
  if (local) return kFixedBytes;
  put(into, kFixedBytes, header.source.ip, v4);
  put(into, kFixedBytes + ip_bytes, header.destination.ip, v4);
  put(into, kFixedBytes + 2 * ip_bytes, header.source.port);
  put(into, kFixedBytes + 2 * ip_bytes + 2, header.destination.port);
  return kFixedBytes + length;
}

uint32_t crc32c(string_view bytes) {
  constexpr uint32_t kPolynomial = 0x82f63b78;  // Castagnoli's, its bits reversed
  uint32_t crc = ~uint32_t{0};
  for (const char c : bytes) {
    crc ^= static_cast<uint8_t>(c);
    for (int bit = 0; bit < 8; ++bit) crc = crc >> 1 ^ ((crc & 1) != 0 ? kPolynomial : 0);
  }
  return ~crc;
}

}  // namespace terrace::net
