#include "lb/request_key.h"

#include <gtest/gtest.h>

namespace terrace::lb {
namespace {

net::Ip ip(std::string_view text) { return net::Ip::parse(text).value(); }

Key key(const KeySource& source, std::string_view name, std::string_view value,
        std::string_view client = "192.0.2.1") {
  http::RequestHead request;
  request.fields.add({name, value, http::header_id(name), false});
  return key_of(source, request, ip(client));
}

TEST(RequestKey, OfAHeaderIsItsValue) {
  const KeySource source{.kind = KeySource::Kind::kHeader, .name = "X-User"};
  EXPECT_EQ(key(source, "x-user", "ada"), key(source, "X-User", "ada", "192.0.2.9"));
  EXPECT_NE(key(source, "X-User", "ada"), key(source, "X-User", "bob"));
  EXPECT_FALSE(key(source, "X-User", ""));
  EXPECT_FALSE(key(source, "X-Other", "ada"));
}

TEST(RequestKey, OfACookieIsItsValue) {
  const KeySource source{.kind = KeySource::Kind::kCookie, .name = "session"};
  EXPECT_EQ(key(source, "Cookie", "a=b; session=1"), key(source, "Cookie", "session=1"));
  EXPECT_FALSE(key(source, "Cookie", "a=b"));
}

TEST(RequestKey, OfAnAddressIsTheAddressOrItsSubscribersNetwork) {
  const KeySource source{.kind = KeySource::Kind::kAddress};
  EXPECT_NE(key(source, "A", "", "192.0.2.1"), key(source, "A", "", "192.0.2.2"));
  EXPECT_EQ(key(source, "A", "", "2001:db8::1"), key(source, "A", "", "2001:db8::2"));
}

TEST(RequestKey, WhereNothingIsLookedAtThereIsNone) { EXPECT_FALSE(key({}, "X-User", "ada")); }

}  // namespace
}  // namespace terrace::lb
