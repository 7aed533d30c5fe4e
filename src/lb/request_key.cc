#include "lb/request_key.h"

#include <strings.h>

#include "base/hash.h"
#include "http/cookie.h"
#include "lb/limits.h"

namespace terrace::lb {
namespace {

constexpr uint64_t kHashKey = 0x6b65792d6f662d31;

Key key_of_text(std::string_view text) {
  if (text.empty()) return std::nullopt;
  return hash64(text, kHashKey);
}

std::string_view header(const http::Fields& fields, std::string_view name) {
  for (const http::Field& field : fields) {
    if (field.name.size() == name.size() && ::strncasecmp(field.name.data(), name.data(), name.size()) == 0)
      return field.value;
  }
  return {};
}

}  // namespace

Key key_of(const net::Ip& client) {
  const uint64_t address = client_key(client);
  return key_of_text({reinterpret_cast<const char*>(&address), sizeof address});
}

Key key_of(const KeySource& source, const http::RequestHead& request, const net::Ip& client) {
  switch (source.kind) {
    case KeySource::Kind::kNothing:
      return std::nullopt;
    case KeySource::Kind::kAddress:
      return key_of(client);
    case KeySource::Kind::kHeader:
      return key_of_text(header(request.fields, source.name));
    case KeySource::Kind::kCookie:
      return key_of_text(http::cookie(request.fields, source.name));
  }
  return std::nullopt;
}

}  // namespace terrace::lb
