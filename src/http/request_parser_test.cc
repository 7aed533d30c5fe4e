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

TEST(RequestParser, the_views_point_into_the_buffer) {
  const std::string text = "GET /path HTTP/1.1\r\nHost: example.com\r\n\r\n";
  RequestParser parser;
  RequestHead head;
  ASSERT_EQ(parser.parse(text, {}, head), Parsed::kDone);
  EXPECT_EQ(head.target.data(), text.data() + 4);
  EXPECT_EQ(head.authority.data(), text.data() + text.find("example"));
}

TEST(RequestParser, nothing_of_one_request_is_left_in_the_next) {
  const std::string first =
      "POST http://example.com/a?b HTTP/1.0\r\nConnection: keep-alive\r\nExpect: 100-continue\r\n"
      "Content-Length: 5\r\n\r\n";
  const std::string second = "GET /c HTTP/1.1\r\nHost: other.example\r\n\r\n";
  RequestParser parser;
  RequestHead head;
  ASSERT_EQ(parser.parse(first, {}, head), Parsed::kDone);
  parser.reset();
  EXPECT_FALSE(parser.started());
  ASSERT_EQ(parser.parse(second, {}, head), Parsed::kDone);
  EXPECT_EQ(parser.head_bytes(), second.size());
  EXPECT_EQ(head.method, Method::kGet);
  EXPECT_EQ(head.authority, "other.example");
  EXPECT_EQ(head.query, "");
  EXPECT_EQ(head.framing, Framing::kNone);
  EXPECT_EQ(head.content_length, 0u);
  EXPECT_EQ(head.fields.size(), 1);
  EXPECT_TRUE(head.keep_alive);
  EXPECT_FALSE(head.http_1_0);
}

TEST(RequestParser, waits_when_nothing_has_arrived) {
  RequestParser parser;
  RequestHead head;
  EXPECT_EQ(parser.parse({}, {}, head), Parsed::kIncomplete);
  ResponseParser response_parser;
  ResponseHead response;
  EXPECT_EQ(response_parser.parse({}, {}, Method::kGet, response), Parsed::kIncomplete);
}

TEST(RequestParser, has_started_with_the_first_byte_that_is_not_of_an_empty_line) {
  const std::string text = "\r\nGET";
  RequestParser parser;
  RequestHead head;
  for (const size_t bytes : {0, 1, 2}) {
    ASSERT_EQ(parser.parse(std::string_view(text).substr(0, bytes), {}, head), Parsed::kIncomplete);
    EXPECT_FALSE(parser.started()) << bytes;
  }
  ASSERT_EQ(parser.parse(std::string_view(text).substr(0, 3), {}, head), Parsed::kIncomplete);
  EXPECT_TRUE(parser.started());
}

TEST(RequestParser, a_wrong_line_is_refused_before_the_head_ends) {
  for (const char* text : {"GET / HTTP/1.1\n", "GET /\r\n", "GET / HTTP/1.1\r\nNoColon\r\n", "\x16\x03\x01",
                           "\r\n\r", "GET / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 1\r\n"}) {
    RequestParser parser;
    RequestHead head;
    EXPECT_EQ(parser.parse(text, {}, head), Parsed::kRefused) << text;
    EXPECT_EQ(parser.refusal().status, 400);
    EXPECT_STRNE(parser.refusal().text, "");
  }
}

TEST(RequestParser, keeps_to_the_limits_that_it_is_given) {
  const HeadLimits limits = {.target_max = 10, .head_max = 60};
  const auto status = [&](const std::string& text) {
    RequestParser parser;
    RequestHead head;
    const Parsed parsed = parser.parse(text, limits, head);
    return parsed == Parsed::kRefused ? parser.refusal().status : 0;
  };
  EXPECT_EQ(status("GET /234567890 HTTP/1.1\r\n"), 0);
  EXPECT_EQ(status("GET /2345678901 HTTP/1.1\r\n"), 414);
  EXPECT_EQ(status("GET /2345678901"), 414);
  EXPECT_EQ(status("GET / HTTP/1.1\r\nHost: a\r\nX: " + std::string(28, 'x') + "\r\n\r\n"), 0);
  EXPECT_EQ(status("GET / HTTP/1.1\r\nHost: a\r\nX: " + std::string(29, 'x') + "\r\n\r\n"), 431);
  EXPECT_EQ(status("GET / HTTP/1.1\r\n" + std::string(44, 'x')), 431);
}

// Only the first is forwarded, so it decides.
TEST(RequestParser, an_empty_upgrade_before_another_is_none) {
  RequestParser parser;
  RequestHead head;
  const char* text = "GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade:\r\nUpgrade: x\r\n\r\n";
  ASSERT_EQ(parser.parse(text, {}, head), Parsed::kDone);
  EXPECT_FALSE(head.upgrade);
}

TEST(RequestParser, an_idempotent_method_may_be_sent_again) {
  RequestHead head;
  for (const char* method : {"GET", "PUT", "DELETE", "POST", "PATCH", "PROPFIND"}) {
    RequestParser parser;
    ASSERT_EQ(parser.parse(std::string(method) + " / HTTP/1.0\r\n\r\n", {}, head), Parsed::kDone);
    const std::string name = method;
    EXPECT_EQ(head.idempotent(), name == "GET" || name == "PUT" || name == "DELETE") << name;
  }
}

}  // namespace
}  // namespace terrace::http
