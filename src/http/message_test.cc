#include "http/message.h"

#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

namespace terrace::http {
namespace {

const std::vector<std::pair<std::string, HeaderId>> kNames = {
    {"Accept", HeaderId::kAccept},
    {"Accept-Encoding", HeaderId::kAcceptEncoding},
    {"Accept-Ranges", HeaderId::kAcceptRanges},
    {"Age", HeaderId::kAge},
    {"Allow", HeaderId::kAllow},
    {"Authorization", HeaderId::kAuthorization},
    {"Cache-Control", HeaderId::kCacheControl},
    {"Connection", HeaderId::kConnection},
    {"Content-Encoding", HeaderId::kContentEncoding},
    {"Content-Length", HeaderId::kContentLength},
    {"Content-Range", HeaderId::kContentRange},
    {"Content-Type", HeaderId::kContentType},
    {"Cookie", HeaderId::kCookie},
    {"Date", HeaderId::kDate},
    {"ETag", HeaderId::kETag},
    {"Expect", HeaderId::kExpect},
    {"Forwarded", HeaderId::kForwarded},
    {"Host", HeaderId::kHost},
    {"If-Match", HeaderId::kIfMatch},
    {"If-Modified-Since", HeaderId::kIfModifiedSince},
    {"If-None-Match", HeaderId::kIfNoneMatch},
    {"If-Range", HeaderId::kIfRange},
    {"If-Unmodified-Since", HeaderId::kIfUnmodifiedSince},
    {"Keep-Alive", HeaderId::kKeepAlive},
    {"Last-Modified", HeaderId::kLastModified},
    {"Location", HeaderId::kLocation},
    {"Proxy", HeaderId::kProxy},
    {"Proxy-Connection", HeaderId::kProxyConnection},
    {"Range", HeaderId::kRange},
    {"Referer", HeaderId::kReferer},
    {"Server", HeaderId::kServer},
    {"Set-Cookie", HeaderId::kSetCookie},
    {"TE", HeaderId::kTe},
    {"Trailer", HeaderId::kTrailer},
    {"Transfer-Encoding", HeaderId::kTransferEncoding},
    {"Upgrade", HeaderId::kUpgrade},
    {"User-Agent", HeaderId::kUserAgent},
    {"Vary", HeaderId::kVary},
    {"Via", HeaderId::kVia},
    {"X-Forwarded-For", HeaderId::kXForwardedFor},
    {"X-Forwarded-Host", HeaderId::kXForwardedHost},
    {"X-Forwarded-Port", HeaderId::kXForwardedPort},
    {"X-Forwarded-Proto", HeaderId::kXForwardedProto},
    {"X-Forwarded-Prefix", HeaderId::kXForwardedOther},
    {"X-Forwarded-", HeaderId::kXForwardedOther},
    {"X-Real-IP", HeaderId::kXForwardedOther},
    {"X-Request-Id", HeaderId::kXRequestId},
};

TEST(Message, every_listed_name_has_its_id_in_any_case) {
  for (const auto& [name, id] : kNames) {
    std::string upper = name;
    std::string lower = name;
    for (char& c : upper) c = static_cast<char>(toupper(c));
    for (char& c : lower) c = static_cast<char>(tolower(c));
    EXPECT_EQ(header_id(name), id) << name;
    EXPECT_EQ(header_id(upper), id) << upper;
    EXPECT_EQ(header_id(lower), id) << lower;
  }
}

// A wrong byte at any place, also one that differs only in the bit of the case.
TEST(Message, a_name_that_differs_in_one_byte_has_no_id) {
  for (const auto& [name, id] : kNames) {
    for (size_t i = 0; i < name.size(); i++) {
      if (id == HeaderId::kXForwardedOther && i >= 12) continue;
      for (const char wrong :
           {static_cast<char>(name[i] ^ 0x40), static_cast<char>(name[i] ^ 0x01), '\r', '@'}) {
        std::string other = name;
        other[i] = wrong;
        EXPECT_NE(header_id(other), id) << other;
      }
    }
  }
}

TEST(Message, names_that_are_not_listed_are_other) {
  for (const char* name :
       {"", "X", "X-Forwarded", "Hosts", "Content-Lengt", "Content-Length-", "Sec-Fetch-Mode"}) {
    EXPECT_EQ(header_id(name), HeaderId::kOther) << name;
  }
}

TEST(Message, a_name_with_an_underscore_is_marked) {
  for (const char* name : {"_", "Content_Length", "X_Forwarded-For", "X-Forwarded-For_", "Host_",
                           "a-very-long-name_of-a-field"}) {
    EXPECT_EQ(header_id(name), HeaderId::kUnderscore) << name;
  }
}

TEST(Message, reasons_are_those_of_the_rfc) {
  EXPECT_EQ(reason_phrase(200), "OK");
  EXPECT_EQ(reason_phrase(431), "Request Header Fields Too Large");
  EXPECT_EQ(reason_phrase(299), "");
}

}  // namespace
}  // namespace terrace::http
