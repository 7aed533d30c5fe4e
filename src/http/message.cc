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
  switch (status) {
    case 100:
      return "Continue";
    case 101:
      return "Switching Protocols";
    case 103:
      return "Early Hints";
    case 200:
      return "OK";
    case 201:
      return "Created";
    case 202:
      return "Accepted";
    case 203:
      return "Non-Authoritative Information";
    case 204:
      return "No Content";
    case 205:
      return "Reset Content";
    case 206:
      return "Partial Content";
    case 207:
      return "Multi-Status";
    case 300:
      return "Multiple Choices";
    case 301:
      return "Moved Permanently";
    case 302:
      return "Found";
    case 303:
      return "See Other";
    case 304:
      return "Not Modified";
    case 305:
      return "Use Proxy";
    case 307:
      return "Temporary Redirect";
    case 308:
      return "Permanent Redirect";
    case 400:
      return "Bad Request";
    case 401:
      return "Unauthorized";
    case 402:
      return "Payment Required";
    case 403:
      return "Forbidden";
    case 404:
      return "Not Found";
    case 405:
      return "Method Not Allowed";
    case 406:
      return "Not Acceptable";
    case 407:
      return "Proxy Authentication Required";
    case 408:
      return "Request Timeout";
    case 409:
      return "Conflict";
    case 410:
      return "Gone";
    case 411:
      return "Length Required";
    case 412:
      return "Precondition Failed";
    case 413:
      return "Content Too Large";
    case 414:
      return "URI Too Long";
    case 415:
      return "Unsupported Media Type";
    case 416:
      return "Range Not Satisfiable";
    case 417:
      return "Expectation Failed";
    case 421:
      return "Misdirected Request";
    case 422:
      return "Unprocessable Content";
    case 425:
      return "Too Early";
    case 426:
      return "Upgrade Required";
    case 428:
      return "Precondition Required";
    case 429:
      return "Too Many Requests";
    case 431:
      return "Request Header Fields Too Large";
    case 451:
      return "Unavailable For Legal Reasons";
    case 500:
      return "Internal Server Error";
    case 501:
      return "Not Implemented";
    case 502:
      return "Bad Gateway";
    case 503:
      return "Service Unavailable";
    case 504:
      return "Gateway Timeout";
    case 505:
      return "HTTP Version Not Supported";
    case 507:
      return "Insufficient Storage";
    case 511:
      return "Network Authentication Required";
    default:
      return "";
  }
}

}  // namespace terrace::http
