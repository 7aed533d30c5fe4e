#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "http/parser.h"

namespace terrace::http {
namespace {

TEST(RequestParser, fills_the_message_from_an_ordinary_head) {
  const std::string text =
      "GET /a/b?c=d HTTP/1.1\r\nHost: example.com:8080\r\nUser-Agent:\t curl \r\nConnection: close, "
      "X-Private\r\n"
      "X-Private: 1\r\nX_Under: 2\r\n\r\nrest";
  RequestParser parser;
  RequestHead head;
  ASSERT_EQ(parser.parse(text, {}, head), Parsed::kDone);
  EXPECT_EQ(parser.head_bytes(), text.size() - 4);
  EXPECT_EQ(head.method, Method::kGet);
  EXPECT_EQ(head.method_text, "GET");
  EXPECT_EQ(head.target, "/a/b?c=d");
  EXPECT_EQ(head.path, "/a/b");
  EXPECT_EQ(head.query, "c=d");
  EXPECT_EQ(head.authority, "example.com:8080");
  EXPECT_FALSE(head.keep_alive);
  EXPECT_FALSE(head.has_body());
  EXPECT_EQ(head.fields.size(), 5);
  EXPECT_EQ(head.fields.value(HeaderId::kUserAgent), "curl");
  const Field* fields = head.fields.begin();
  EXPECT_FALSE(fields[0].hop_by_hop);
  EXPECT_TRUE(fields[2].hop_by_hop);
  EXPECT_TRUE(fields[3].hop_by_hop);
  EXPECT_EQ(fields[4].id, HeaderId::kUnderscore);
}

}  // namespace
}  // namespace terrace::http
