#include "lb/sticky.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <array>
#include <span>

#include "base/assert.h"

namespace terrace::lb {
namespace {

constexpr size_t kValueBytes = 16;
constexpr size_t kSecretBytesMin = 32;

std::string hexadecimal(std::span<const unsigned char> bytes) {
  constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  for (const unsigned char byte : bytes) {
    text += kDigits[byte >> 4];
    text += kDigits[byte & 15];
  }
  return text;
}

std::string value_of(std::string_view secret, const std::string& name) {
  // Nothing else that is signed with the secret begins so.
  const std::string text = "sticky:" + name;
  std::array<unsigned char, EVP_MAX_MD_SIZE> sum{};
  unsigned int bytes = 0;
  const unsigned char* const made =
      HMAC(EVP_sha256(), secret.data(), static_cast<int>(secret.size()),
           reinterpret_cast<const unsigned char*>(text.data()), text.size(), sum.data(), &bytes);
  ASSERT(made != nullptr && bytes >= kValueBytes);
  return hexadecimal(std::span(sum).first(kValueBytes));
}

}  // namespace

StickyCookies::StickyCookies(std::string_view secret, const std::vector<std::string>& names) {
  ASSERT(secret.size() >= kSecretBytesMin);
  for (const std::string& name : names) {
    Backend& backend = backends_.emplace_back();
    backend.name = name;
    backend.value = value_of(secret, name);
    backend.plain = std::string(kName) + "=" + backend.value + "; Path=/; HttpOnly; SameSite=Lax";
    backend.secure = backend.plain + "; Secure";
  }
}

std::optional<size_t> StickyCookies::find(std::string_view value) const {
  for (size_t i = 0; i < backends_.size(); ++i) {
    const std::string& known = backends_[i].value;
    if (value.size() == known.size() && CRYPTO_memcmp(value.data(), known.data(), known.size()) == 0)
      return i;
  }
  return std::nullopt;
}

std::optional<size_t> StickyCookies::position(std::string_view name) const {
  for (size_t i = 0; i < backends_.size(); ++i) {
    if (backends_[i].name == name) return i;
  }
  return std::nullopt;
}

const std::string& StickyCookies::set_cookie(size_t backend, bool secure) const {
  return secure ? backends_[backend].secure : backends_[backend].plain;
}

}  // namespace terrace::lb
