#include "certificates/token.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rand.h>

#include <algorithm>
#include <cstring>
#include <optional>
#include <span>

#include "base/assert.h"
#include "certificates/hex.h"

namespace terrace::certificates {
namespace {

constexpr std::string_view kPrefix = "terrace1.";
constexpr std::string_view kBase32 = "abcdefghijklmnopqrstuvwxyz234567";  // RFC 4648 section 6
constexpr size_t kChecksumBytes = 4;
// WallTime counts nanoseconds and ends in the year 2262.
constexpr uint64_t kSecondsMax = 9'000'000'000;

std::unexpected<Error> refuse(const char* text) { return fail(Code::kInvalid, "token", text); }

std::array<uint8_t, 32> sha256(std::string_view bytes) {
  std::array<uint8_t, 32> digest{};
  unsigned size = 0;
  EVP_Digest(bytes.data(), bytes.size(), digest.data(), &size, EVP_sha256(), nullptr);
  return digest;
}

std::string_view view_of(std::span<const uint8_t> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

// Five bits per letter, the first bits first; the last letter is filled with zeros.
std::string base32_of(std::string_view bytes) {
  std::string text;
  uint32_t held = 0;
  int bits = 0;
  for (const char byte : bytes) {
    held = held << 8 | static_cast<uint8_t>(byte);
    for (bits += 8; bits >= 5; bits -= 5) text += kBase32[held >> (bits - 5) & 31];
  }
  if (bits > 0) text += kBase32[held << (5 - bits) & 31];
  return text;
}

// One text only for each row of bytes: the bits that fill the last letter are zeros.
std::optional<std::string> base32_bytes(std::string_view text) {
  std::string bytes;
  uint32_t held = 0;
  int bits = 0;
  for (const char letter : text) {
    const size_t value = kBase32.find(letter);
    if (value == std::string_view::npos) return std::nullopt;
    held = held << 5 | static_cast<uint32_t>(value);
    bits += 5;
    if (bits < 8) continue;
    bits -= 8;
    bytes += static_cast<char>(held >> bits & 255);
  }
  if (bits >= 5 || (held & ((1U << bits) - 1)) != 0) return std::nullopt;
  return bytes;
}

void append_number(std::string& out, uint64_t number, int bytes) {
  for (int i = bytes - 1; i >= 0; --i) out += static_cast<char>(number >> (8 * i) & 255);
}

// Takes fields from the front of bytes of which there are enough.
class Fields {
 public:
  explicit Fields(std::string_view bytes) : bytes_(bytes) {}
  size_t left() const { return bytes_.size(); }
  std::string_view take(size_t count) {
    const std::string_view field = bytes_.substr(0, count);
    ASSERT(field.size() == count);
    bytes_.remove_prefix(count);
    return field;
  }
  uint64_t number(size_t bytes) {
    uint64_t value = 0;
    for (const char byte : take(bytes)) value = value << 8 | static_cast<uint8_t>(byte);
    return value;
  }
  template <size_t kBytes>
  void copy(std::array<uint8_t, kBytes>& into) {
    std::memcpy(into.data(), take(kBytes).data(), kBytes);
  }

 private:
  std::string_view bytes_;
};

constexpr size_t kFixedBytes = 32 + 8 + 16 + 8 + 1;

bool is_whole(std::string_view bytes) {
  if (bytes.size() < kFixedBytes + 4 + 2 + kChecksumBytes) return false;
  const std::string_view payload = bytes.substr(0, bytes.size() - kChecksumBytes);
  return view_of(sha256(payload)).starts_with(bytes.substr(payload.size()));
}

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view kSpace = " \t\r\n";
  const size_t first = text.find_first_not_of(kSpace);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kSpace) - first + 1);
}

}  // namespace

Token Token::make(const Fingerprint& authority, const net::Ip& address, uint16_t port, WallTime expires) {
  Token token{.authority = authority, .address = address, .port = port};
  token.expires = std::chrono::floor<std::chrono::seconds>(expires);
  const bool random = RAND_bytes(token.id.data(), static_cast<int>(token.id.size())) == 1 &&
                      RAND_bytes(token.secret.data(), static_cast<int>(token.secret.size())) == 1;
  ASSERT(random);
  return token;
}

std::string Token::print() const {
  std::string bytes;
  bytes.append(view_of(authority.bytes)).append(view_of(id)).append(view_of(secret));
  append_number(bytes, static_cast<uint64_t>(std::chrono::system_clock::to_time_t(expires)), 8);
  const std::span<const uint8_t> ip = std::span(address.bytes).subspan(address.is_v4() ? 12 : 0);
  append_number(bytes, ip.size(), 1);
  bytes.append(view_of(ip));
  append_number(bytes, port, 2);
  bytes.append(view_of(sha256(bytes)).substr(0, kChecksumBytes));
  return std::string(kPrefix) + base32_of(bytes);
}

Result<Token> Token::parse(std::string_view text) {
  text = trimmed(text);
  if (text.size() > kTextBytesMax) return refuse("too long");
  if (!text.starts_with(kPrefix)) return refuse("a token begins with `terrace1.`");
  const std::optional<std::string> bytes = base32_bytes(text.substr(kPrefix.size()));
  if (!bytes || !is_whole(*bytes)) return refuse("a letter is missing or wrong");
  Fields fields(std::string_view(*bytes).substr(0, bytes->size() - kChecksumBytes));
  Token token;
  fields.copy(token.authority.bytes);
  fields.copy(token.id);
  fields.copy(token.secret);
  const uint64_t seconds = fields.number(8);
  const uint64_t address_bytes = fields.number(1);
  if ((address_bytes != 4 && address_bytes != 16) || fields.left() != address_bytes + 2) {
    return refuse("not made by Terrace");
  }
  const std::string_view address = fields.take(address_bytes);
  if (address_bytes == 4) token.address.bytes[10] = token.address.bytes[11] = 0xff;
  std::memcpy(token.address.bytes.data() + 16 - address_bytes, address.data(), address_bytes);
  token.port = static_cast<uint16_t>(fields.number(2));
  const bool one_form = address_bytes == (token.address.is_v4() ? 4 : 16);
  if (seconds > kSecondsMax || token.port == 0 || !one_form) return refuse("not made by Terrace");
  token.expires = WallTime(std::chrono::seconds(seconds));
  return token;
}

std::string Token::id_hex() const { return hex_of(id); }
std::string Token::secret_hex() const { return hex_of(secret); }
std::string Token::secret_hash() const { return hex_of(sha256(view_of(secret))); }

bool secret_matches(std::string_view secret_hex, std::string_view hash) {
  std::array<uint8_t, 16> secret{};
  if (!read_hex(secret_hex, secret)) return false;
  const std::string found = hex_of(sha256(view_of(secret)));
  return found.size() == hash.size() && CRYPTO_memcmp(found.data(), hash.data(), hash.size()) == 0;
}

}  // namespace terrace::certificates
