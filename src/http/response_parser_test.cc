#include <gtest/gtest.h>

#include <string>

#include "http/parser.h"

namespace terrace::http {
namespace {

TEST(ResponseParser, fills_the_message_from_an_ordinary_head) {
  const std::string text =
      "HTTP/1.1 404 Not Found\r\nContent-Type: text/html\r\nContent-Length: 12\r\n\r\nrest";
  ResponseParser parser;
  ResponseHead head;
  ASSERT_EQ(parser.parse(text, {}, Method::kGet, head), Parsed::kDone);
  EXPECT_EQ(parser.head_bytes(), text.size() - 4);
  EXPECT_EQ(head.status, 404);
  EXPECT_EQ(head.reason, "Not Found");
  EXPECT_EQ(head.framing, Framing::kLength);
  EXPECT_EQ(head.content_length, 12u);
  EXPECT_TRUE(head.keep_alive);
  EXPECT_EQ(head.fields.value(HeaderId::kContentType), "text/html");
}

TEST(ResponseParser, reads_on_after_interim_responses) {
  const std::string text =
      "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 "
      "OK\r\nContent-Length: 0\r\n\r\n";
  ResponseParser parser;
  ResponseHead head;
  std::string_view rest = text;
  for (const int status : {100, 103, 200}) {
    parser.reset();
    ASSERT_EQ(parser.parse(rest, {}, Method::kGet, head), Parsed::kDone);
    EXPECT_EQ(head.status, status);
    rest.remove_prefix(parser.head_bytes());
  }
  EXPECT_EQ(rest, "");
  EXPECT_EQ(head.fields.size(), 1);
}

TEST(ResponseParser, an_answer_to_head_tells_the_length_without_a_body) {
  ResponseParser parser;
  ResponseHead head;
  ASSERT_EQ(parser.parse("HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\n", {}, Method::kHead, head),
            Parsed::kDone);
  EXPECT_EQ(head.framing, Framing::kNone);
  EXPECT_TRUE(head.has_content_length);
  EXPECT_EQ(head.content_length, 12u);
}

TEST(ResponseParser, without_a_length_the_body_ends_with_the_connection) {
  ResponseParser parser;
  ResponseHead head;
  ASSERT_EQ(parser.parse("HTTP/1.1 200 OK\r\nConnection: keep-alive\r\n\r\n", {}, Method::kGet, head),
            Parsed::kDone);
  EXPECT_EQ(head.framing, Framing::kUntilClose);
  EXPECT_FALSE(head.keep_alive);
  EXPECT_FALSE(head.has_content_length);
}

TEST(ResponseParser, a_wrong_line_is_refused_before_the_head_ends) {
  for (const char* text :
       {"HTTP/1.1 200 OK\n", "HTTP/1.1 999 Odd\r\n", "\r\n", "HTTP/1.1 200 OK\r\nX: a\x01\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n"}) {
    ResponseParser parser;
    ResponseHead head;
    EXPECT_EQ(parser.parse(text, {}, Method::kGet, head), Parsed::kRefused) << text;
    EXPECT_EQ(parser.refusal().status, 502);
    EXPECT_STRNE(parser.refusal().text, "");
  }
}

}  // namespace
}  // namespace terrace::http
