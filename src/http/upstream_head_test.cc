#include "http/upstream_head.h"

#include <gtest/gtest.h>

#include <string>

#include "http/parser.h"

namespace terrace::http {
namespace {

std::string head_for(std::string_view bytes, bool trusted = false) {
  RequestParser parser;
  RequestHead request;
  parser.reset();
  EXPECT_EQ(parser.parse(bytes, {}, request), Parsed::kDone) << parser.refusal().text;
  char into[16384];
  const UpstreamContext context{.peer = {.ip = net::Ip::parse("192.0.2.7").value()},
                                .scheme = "http",
                                .request_id = "abc",
                                .trusted = trusted};
  return std::string(write_upstream_head(request, context, into));
}

TEST(UpstreamHead, SaysWhoAskedAndHow) {
  EXPECT_EQ(head_for("GET /a?b=c HTTP/1.1\r\nhost: shop.example\r\nAccept: */*\r\n\r\n"),
            "GET /a?b=c HTTP/1.1\r\n"
            "Host: shop.example\r\n"
            "Accept: */*\r\n"
            "X-Forwarded-For: 192.0.2.7\r\n"
            "X-Forwarded-Proto: http\r\n"
            "X-Forwarded-Host: shop.example\r\n"
            "Forwarded: for=192.0.2.7;proto=http;host=\"shop.example\"\r\n"
            "X-Request-Id: abc\r\n\r\n");
}

TEST(UpstreamHead, DropsWhatAStrangerSaysOfItself) {
  const std::string head = head_for(
      "GET / HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 10.0.0.1\r\nX-Forwarded-Proto: https\r\nForwarded: "
      "for=10.0.0.1\r\n"
      "X-Request-Id: evil\r\nX-Real-IP: 10.0.0.1\r\nProxy: http://evil\r\nX_Forwarded_For: 10.0.0.1\r\n\r\n");
  EXPECT_EQ(head.find("10.0.0.1"), std::string::npos) << head;
  EXPECT_EQ(head.find("evil"), std::string::npos) << head;
  EXPECT_EQ(head.find("https"), std::string::npos) << head;
}

TEST(UpstreamHead, AddsToWhatATrustedProxySays) {
  const std::string head = head_for(
      "GET / HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 10.0.0.1\r\nX-Forwarded-Proto: https\r\nForwarded: "
      "for=10.0.0.1\r\n\r\n",
      true);
  EXPECT_NE(head.find("X-Forwarded-For: 10.0.0.1, 192.0.2.7\r\n"), std::string::npos) << head;
  EXPECT_NE(head.find("X-Forwarded-Proto: https\r\n"), std::string::npos) << head;
  EXPECT_NE(head.find("Forwarded: for=10.0.0.1, for=192.0.2.7;"), std::string::npos) << head;
}

TEST(UpstreamHead, HasExactlyOneHostAndOneFraming) {
  const std::string head = head_for(
      "POST http://shop.example/p HTTP/1.1\r\nHost: shop.example\r\nTransfer-Encoding: "
      "chunked\r\nConnection: "
      "close, X-Secret\r\nX-Secret: 1\r\nTE: trailers\r\nKeep-Alive: 5\r\n\r\n");
  EXPECT_TRUE(head.starts_with("POST /p HTTP/1.1\r\nHost: shop.example\r\n")) << head;
  EXPECT_EQ(head.find("Host:", head.find("Host:") + 1),
            head.find("Host: shop", head.find("X-Forwarded-Host")))
      << head;
  EXPECT_NE(head.find("Transfer-Encoding: chunked\r\n"), std::string::npos);
  for (const char* gone : {"Content-Length", "X-Secret", "TE:", "Keep-Alive", "Connection"}) {
    EXPECT_EQ(head.find(gone), std::string::npos) << gone << "\n" << head;
  }
}

TEST(UpstreamHead, PassesAnUpgradeOn) {
  const std::string head = head_for(
      "GET /ws HTTP/1.1\r\nHost: x\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n\r\n");
  EXPECT_NE(head.find("Connection: Upgrade\r\nUpgrade: websocket\r\n"), std::string::npos) << head;
}

TEST(UpstreamHead, ThatDoesNotFitIsSaid) {
  RequestParser parser;
  RequestHead request;
  parser.reset();
  ASSERT_EQ(parser.parse("GET / HTTP/1.1\r\nHost: x\r\n\r\n", {}, request), Parsed::kDone);
  char into[20];
  EXPECT_EQ(write_upstream_head(request, {}, into), "");
}

RequestHead parsed(std::string_view bytes) {
  RequestParser parser;
  RequestHead request;
  parser.reset();
  EXPECT_EQ(parser.parse(bytes, {}, request), Parsed::kDone) << parser.refusal().text;
  return request;
}

std::string fields_for(const RequestHead& request, const UpstreamContext& context) {
  char into[1024];
  Fields fields;
  EXPECT_TRUE(upstream_fields(request, context, into, fields));
  std::string text;
  for (const Field& field : fields) text.append(field.name).append(": ").append(field.value).append("\n");
  return text;
}

TEST(UpstreamHead, SaysTheSameInHttp2) {
  const RequestHead request =
      parsed("GET /a HTTP/1.1\r\nHost: shop.example\r\nAccept: */*\r\nX-Forwarded-For: 10.9.9.9\r\n\r\n");
  EXPECT_EQ(fields_for(
                request,
                {.peer = {.ip = net::Ip::parse("192.0.2.7").value()}, .scheme = "http", .request_id = "abc"}),
            "Accept: */*\nX-Forwarded-For: 192.0.2.7\nX-Forwarded-Proto: http\n"
            "X-Forwarded-Host: shop.example\nForwarded: for=192.0.2.7;proto=http;host=\"shop.example\"\n"
            "X-Request-Id: abc\n");
}

TEST(UpstreamHead, PassesOnWhatALoadBalancerHasSaid) {
  const std::string_view said =
      "X-Forwarded-For: 192.0.2.7\nX-Forwarded-Proto: http\nX-Forwarded-Host: shop.example\n"
      "Forwarded: for=192.0.2.7;proto=http;host=\"shop.example\"\nX-Request-Id: abc\n";
  std::string head = "GET /a HTTP/1.1\r\nHost: shop.example\r\n";
  for (const char c : said) head += c == '\n' ? "\r\n" : std::string(1, c);
  const RequestHead request = parsed(head += "\r\n");
  EXPECT_EQ(fields_for(request, {.peer = {.ip = net::Ip::parse("10.0.0.11").value()},
                                 .scheme = "http",
                                 .request_id = "abc",
                                 .trusted = true,
                                 .relayed = true}),
            said);
}

TEST(UpstreamHead, OfTooManyFieldsIsNone) {
  RequestHead request;
  for (int i = 0; i < Fields::kCapacity - 2; ++i) request.fields.add({"a", "b", HeaderId::kOther, false});
  char into[1024];
  Fields fields;
  EXPECT_FALSE(upstream_fields(request, {.scheme = "http", .request_id = "x"}, into, fields));
}

}  // namespace
}  // namespace terrace::http
