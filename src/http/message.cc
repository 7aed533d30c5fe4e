#include "http/message.h"

#include <cstring>

#include "http/syntax.h"

namespace terrace::http {
namespace {

// A field name as words to compare with: the letters in lower case, and a mask
// that folds letters and leaves `-` alone. The last word overlaps the one before.
template <size_t kSize>  // with the zero at the end
struct Name {
  static constexpr size_t kLength = kSize - 1;
  static constexpr size_t kWord = kLength >= 8 ? 8 : kLength >= 4 ? 4 : 1;
  static constexpr size_t kWords = (kLength + kWord - 1) / kWord;

  char text[kSize];
  char fold[kSize];

  consteval Name(const char (&name)[kSize]) : text{}, fold{} {  // NOLINT: literals convert
    for (size_t i = 0; i < kLength; i++) {
      text[i] = name[i];
      fold[i] = is_letter(name[i]) ? 0x20 : 0;
    }
  }

  bool matches(const char* other) const {
    uint64_t different = 0;
    for (size_t i = 0; i < kWords; i++) {
      const size_t at = i + 1 == kWords ? kLength - kWord : i * kWord;
      different |= (word(other + at) | word(fold + at)) ^ word(text + at);
    }
    return different == 0;
  }

  static uint64_t word(const char* at) {
    uint64_t value = 0;
    memcpy(&value, at, kWord);
    return value;
  }
};

// The length of `name` is known to be that of the literal.
template <Name kName>
bool is(std::string_view name) {
  return kName.matches(name.data());
}

HeaderId id_of_at_most_5(std::string_view name) {
  switch (name.size()) {
    case 2:
      if (is<"te">(name)) return HeaderId::kTe;
      break;
    case 3:
      if (is<"age">(name)) return HeaderId::kAge;
      if (is<"via">(name)) return HeaderId::kVia;
      break;
    case 4:
      if (is<"host">(name)) return HeaderId::kHost;
      if (is<"date">(name)) return HeaderId::kDate;
      if (is<"etag">(name)) return HeaderId::kETag;
      if (is<"vary">(name)) return HeaderId::kVary;
      break;
    case 5:
      if (is<"range">(name)) return HeaderId::kRange;
      if (is<"allow">(name)) return HeaderId::kAllow;
      if (is<"proxy">(name)) return HeaderId::kProxy;
      break;
    default:
      break;
  }
  return HeaderId::kOther;
}

HeaderId id_of_6_to_9(std::string_view name) {
  switch (name.size()) {
    case 6:
      if (is<"accept">(name)) return HeaderId::kAccept;
      if (is<"cookie">(name)) return HeaderId::kCookie;
      if (is<"server">(name)) return HeaderId::kServer;
      if (is<"expect">(name)) return HeaderId::kExpect;
      break;
    case 7:
      if (is<"referer">(name)) return HeaderId::kReferer;
      if (is<"upgrade">(name)) return HeaderId::kUpgrade;
      if (is<"trailer">(name)) return HeaderId::kTrailer;
      break;
    case 8:
      if (is<"location">(name)) return HeaderId::kLocation;
      if (is<"if-match">(name)) return HeaderId::kIfMatch;
      if (is<"if-range">(name)) return HeaderId::kIfRange;
      break;
    case 9:
      if (is<"forwarded">(name)) return HeaderId::kForwarded;
      if (is<"x-real-ip">(name)) return HeaderId::kXForwardedOther;
      break;
    default:
      break;
  }
  return HeaderId::kOther;
}

HeaderId id_of_10_to_13(std::string_view name) {
  switch (name.size()) {
    case 10:
      if (is<"user-agent">(name)) return HeaderId::kUserAgent;
      if (is<"connection">(name)) return HeaderId::kConnection;
      if (is<"set-cookie">(name)) return HeaderId::kSetCookie;
      if (is<"keep-alive">(name)) return HeaderId::kKeepAlive;
      break;
    case 12:
      if (is<"content-type">(name)) return HeaderId::kContentType;
      if (is<"x-request-id">(name)) return HeaderId::kXRequestId;
      break;
    case 13:
      if (is<"cache-control">(name)) return HeaderId::kCacheControl;
      if (is<"authorization">(name)) return HeaderId::kAuthorization;
      if (is<"if-none-match">(name)) return HeaderId::kIfNoneMatch;
      if (is<"last-modified">(name)) return HeaderId::kLastModified;
      if (is<"accept-ranges">(name)) return HeaderId::kAcceptRanges;
      if (is<"content-range">(name)) return HeaderId::kContentRange;
      break;
    default:
      break;
  }
  return HeaderId::kOther;
}

HeaderId id_of_14_to_19(std::string_view name) {
  switch (name.size()) {
    case 14:
      if (is<"content-length">(name)) return HeaderId::kContentLength;
      break;
    case 15:
      if (is<"accept-encoding">(name)) return HeaderId::kAcceptEncoding;
      if (is<"x-forwarded-for">(name)) return HeaderId::kXForwardedFor;
      break;
    case 16:
      if (is<"content-encoding">(name)) return HeaderId::kContentEncoding;
      if (is<"x-forwarded-host">(name)) return HeaderId::kXForwardedHost;
      if (is<"x-forwarded-port">(name)) return HeaderId::kXForwardedPort;
      if (is<"proxy-connection">(name)) return HeaderId::kProxyConnection;
      break;
    case 17:
      if (is<"if-modified-since">(name)) return HeaderId::kIfModifiedSince;
      if (is<"x-forwarded-proto">(name)) return HeaderId::kXForwardedProto;
      if (is<"transfer-encoding">(name)) return HeaderId::kTransferEncoding;
      break;
    case 19:
      if (is<"if-unmodified-since">(name)) return HeaderId::kIfUnmodifiedSince;
      break;
    default:
      break;
  }
  return HeaderId::kOther;
}

HeaderId id_by_name(std::string_view name) {
  if (name.size() <= 5) return id_of_at_most_5(name);
  if (name.size() <= 9) return id_of_6_to_9(name);
  if (name.size() <= 13) return id_of_10_to_13(name);
  return id_of_14_to_19(name);
}

struct Reason {
  int status;
  std::string_view phrase;
};

// The registered ones, in order.
constexpr Reason kReasons[] = {
    {100, "Continue"},
    {101, "Switching Protocols"},
    {103, "Early Hints"},
    {200, "OK"},
    {201, "Created"},
    {202, "Accepted"},
    {203, "Non-Authoritative Information"},
    {204, "No Content"},
    {205, "Reset Content"},
    {206, "Partial Content"},
    {207, "Multi-Status"},
    {300, "Multiple Choices"},
    {301, "Moved Permanently"},
    {302, "Found"},
    {303, "See Other"},
    {304, "Not Modified"},
    {305, "Use Proxy"},
    {307, "Temporary Redirect"},
    {308, "Permanent Redirect"},
    {400, "Bad Request"},
    {401, "Unauthorized"},
    {402, "Payment Required"},
    {403, "Forbidden"},
    {404, "Not Found"},
    {405, "Method Not Allowed"},
    {406, "Not Acceptable"},
    {407, "Proxy Authentication Required"},
    {408, "Request Timeout"},
    {409, "Conflict"},
    {410, "Gone"},
    {411, "Length Required"},
    {412, "Precondition Failed"},
    {413, "Content Too Large"},
    {414, "URI Too Long"},
    {415, "Unsupported Media Type"},
    {416, "Range Not Satisfiable"},
    {417, "Expectation Failed"},
    {421, "Misdirected Request"},
    {422, "Unprocessable Content"},
    {425, "Too Early"},
    {426, "Upgrade Required"},
    {428, "Precondition Required"},
    {429, "Too Many Requests"},
    {431, "Request Header Fields Too Large"},
    {451, "Unavailable For Legal Reasons"},
    {500, "Internal Server Error"},
    {501, "Not Implemented"},
    {502, "Bad Gateway"},
    {503, "Service Unavailable"},
    {504, "Gateway Timeout"},
    {505, "HTTP Version Not Supported"},
    {507, "Insufficient Storage"},
    {511, "Network Authentication Required"},
};

// The phrase of each status from 100 to 599, to find it without a search.
consteval std::array<std::string_view, 500> phrases() {
  std::array<std::string_view, 500> table{};
  for (const Reason& reason : kReasons) table[static_cast<size_t>(reason.status - 100)] = reason.phrase;
  return table;
}
constexpr std::array<std::string_view, 500> kPhrases = phrases();

// Without a way out of the loop it becomes vector code.
bool has_underscore(std::string_view name) {
  bool found = false;
  for (const char c : name) found |= c == '_';
  return found;
}

}  // namespace

HeaderId header_id(std::string_view name) {
  const HeaderId id = id_by_name(name);
  if (id != HeaderId::kOther) return id;
  if (has_underscore(name)) return HeaderId::kUnderscore;
  if (name.size() >= 12 && is<"x-forwarded-">(name)) return HeaderId::kXForwardedOther;
  return HeaderId::kOther;
}

std::string_view reason_phrase(int status) {
  if (status < 100 || status > 599) return "";
  return kPhrases[static_cast<size_t>(status - 100)];
}

}  // namespace terrace::http
