// What hostile clients of HTTP/2 send, and the reaction that RFC 9113 names.

#include <gtest/gtest.h>
#include <nghttp2/nghttp2.h>

#include "http/http2_frames_test.h"
#include "http/http2_live_test.h"

namespace terrace::http {
namespace {

using namespace std::chrono_literals;

Http2Server::Limits limits() {
  Http2Server::Limits limits;
  limits.exchange.progress_max = 300ms;
  limits.connection.head_timeout = 300ms;
  limits.connection.oddities_max = 50;
  limits.connection.oddities_per_second = 1;
  return limits;
}

struct Row {
  const char* name;
  std::string bytes;  // after the preface and empty SETTINGS
  uint32_t code;
};

const std::string kGet = headers(1, request("GET", "/a"));
const std::string kPost = headers(1, request("POST", "/a"), 0);

std::string get_with(const Pairs& more) { return headers(1, request("GET", "/a", more)); }

// Each ends the connection.
std::vector<Row> connection_rows() {
  const uint32_t protocol = NGHTTP2_PROTOCOL_ERROR;
  const uint32_t size = NGHTTP2_FRAME_SIZE_ERROR;
  const uint32_t window = NGHTTP2_FLOW_CONTROL_ERROR;
  const uint32_t compression = NGHTTP2_COMPRESSION_ERROR;
  return {
      {"a frame over the limit", kPost + frame(kData, 0, 1, std::string(16385, 'x')), size},
      {"SETTINGS ACK with payload", frame(kSettings, kAck, 0, setting(3, 1)), size},
      {"SETTINGS of 5 bytes", frame(kSettings, 0, 0, "12345"), size},
      {"PING of 7 bytes", frame(kPing, 0, 0, "1234567"), size},
      {"WINDOW_UPDATE of 3 bytes", frame(kWindowUpdate, 0, 0, "123"), size},
      {"RST_STREAM of 3 bytes", kPost + frame(kRstStream, 0, 1, "123"), size},
      {"GOAWAY of 7 bytes", frame(kGoaway, 0, 0, "1234567"), size},
      {"a window increment of 0", frame(kWindowUpdate, 0, 0, number(0, 4)), protocol},
      {"a window overflow", frame(kWindowUpdate, 0, 0, number(0x7fffffff, 4)), window},
      {"an initial window of 2^31", frame(kSettings, 0, 0, setting(4, 1u << 31)), window},
      {"a frame size of 100", frame(kSettings, 0, 0, setting(5, 100)), protocol},
      {"ENABLE_PUSH of 2", frame(kSettings, 0, 0, setting(2, 2)), protocol},
      {"an even stream", headers(2, request("GET", "/a")), protocol},
      {"DATA on an idle stream", frame(kData, 0, 1, "x"), protocol},
      {"RST_STREAM on an idle stream", frame(kRstStream, 0, 1, number(8, 4)), protocol},
      {"WINDOW_UPDATE on an idle stream", frame(kWindowUpdate, 0, 1, number(1, 4)), protocol},
      {"DATA on stream 0", frame(kData, 0, 0, "x"), protocol},
      {"HEADERS on stream 0", headers(0, request("GET", "/a")), protocol},
      {"SETTINGS on a stream", frame(kSettings, 0, 1, ""), protocol},
      {"PING on a stream", frame(kPing, 0, 1, "12345678"), protocol},
      {"GOAWAY on a stream", frame(kGoaway, 0, 1, number(0, 8)), protocol},
      {"DATA with too much padding", kPost + frame(kData, kPadded, 1, "\x05xx"), protocol},
      {"HEADERS with too much padding", frame(kHeaders, kPadded | kEndHeaders, 1, "\x7fxx"), protocol},
      {"CONTINUATION without HEADERS", frame(kContinuation, kEndHeaders, 1, field("x", "y")), protocol},
      {"DATA within a head",
       frame(kHeaders, kEndStream, 1, block(request("GET", "/a"))) + frame(kData, 0, 1, "x"), protocol},
      {"CONTINUATION of another stream",
       frame(kHeaders, kEndStream, 1, block(request("GET", "/a"))) + frame(kContinuation, kEndHeaders, 3, ""),
       protocol},
      {"PUSH_PROMISE of a client",
       kPost + frame(kPushPromise, kEndHeaders, 1, number(2, 4) + block(request("GET", "/"))), protocol},
      {"an index out of range", frame(kHeaders, kEndHeaders | kEndStream, 1, "\xff\x40"), compression},
      {"an index of 0", frame(kHeaders, kEndHeaders | kEndStream, 1, "\x80"), compression},
      {"bad Huffman",
       frame(kHeaders, kEndHeaders | kEndStream, 1, std::string("\x10\x01x\x84\xff\xff\xff\xff")),
       compression},
      {"a table update too large", frame(kHeaders, kEndHeaders | kEndStream, 1, "\x3f\xff\xff\x7f"),
       compression},
      {"a field cut short", frame(kHeaders, kEndHeaders | kEndStream, 1, "\x10\x05x"), compression},
  };
}

// Each ends stream 1 and leaves the connection.
std::vector<Row> stream_rows() {
  const uint32_t protocol = NGHTTP2_PROTOCOL_ERROR;
  Pairs late = {{":method", "GET"}, {":scheme", "http"}, {"x", "y"}, {":authority", "a"}, {":path", "/"}};
  return {
      {"a name in upper case", get_with({{"X-Upper", "1"}}), protocol},
      {"an empty name", get_with({{"", "1"}}), protocol},
      {"a line feed in a value", get_with({{"x", "a\nb"}}), protocol},
      {"a carriage return in a value", get_with({{"x", "a\rb"}}), protocol},
      {"a NUL in a value", get_with({{"x", std::string("a\0b", 3)}}), protocol},
      {"a space before a value", get_with({{"x", " a"}}), protocol},
      {"a colon in a name", get_with({{"a:b", "1"}}), protocol},
      {"Connection", get_with({{"connection", "close"}}), protocol},
      {"Keep-Alive", get_with({{"keep-alive", "5"}}), protocol},
      {"Proxy-Connection", get_with({{"proxy-connection", "close"}}), protocol},
      {"Transfer-Encoding", get_with({{"transfer-encoding", "chunked"}}), protocol},
      {"Upgrade", get_with({{"upgrade", "websocket"}}), protocol},
      {"TE of gzip", get_with({{"te", "gzip"}}), protocol},
      {"no pseudo fields", headers(1, {{"x", "y"}}), protocol},
      {"no method", headers(1, {{":scheme", "http"}, {":authority", "a"}, {":path", "/"}}), protocol},
      {"two methods", get_with({{":method", "GET"}}), protocol},
      {"a pseudo field after others", headers(1, late), protocol},
      {"an unknown pseudo field", headers(1, {{":method", "GET"}, {":unknown", "1"}}), protocol},
      {":status in a request", headers(1, {{":status", "200"}}), protocol},
      {"a path without a slash", headers(1, request("GET", "a")), protocol},
      {"an empty path", headers(1, request("GET", "")), protocol},
      {"Content-Length that is no number", get_with({{"content-length", "+5"}}), protocol},
      {"two Content-Lengths", get_with({{"content-length", "0"}, {"content-length", "0"}}), protocol},
      {"Content-Length and no DATA", get_with({{"content-length", "5"}}), protocol},
      {"more DATA than Content-Length",
       headers(1, request("POST", "/a", {{"content-length", "2"}}), 0) + frame(kData, kEndStream, 1, "abc"),
       protocol},
      {"less DATA than Content-Length",
       headers(1, request("POST", "/a", {{"content-length", "5"}}), 0) + frame(kData, kEndStream, 1, "abc"),
       protocol},
      {"trailers with a pseudo field", kPost + headers(1, {{":path", "/b"}}), protocol},
      {"trailers without an end", kPost + headers(1, {{"x", "y"}}, 0), protocol},
      {"a window overflow", kPost + frame(kWindowUpdate, 0, 1, number(0x7fffffff, 4)),
       NGHTTP2_FLOW_CONTROL_ERROR},
  };
}

std::string times(int count, const std::string& bytes) {
  std::string all;
  for (int i = 0; i < count; ++i) all += bytes;
  return all;
}

// Something for each of many streams.
template <class Make>
std::string streams(uint32_t count, Make make) {
  std::string all;
  for (uint32_t stream = 1; stream < 2 * count; stream += 2) all += make(stream);
  return all;
}

std::string opened_and_reset(uint32_t stream) {
  return headers(stream, request("POST", "/a"), 0) + frame(kRstStream, 0, stream, number(8, 4));
}
std::string made_to_reset(uint32_t stream) {
  return headers(stream, request("POST", "/a"), 0) + frame(kWindowUpdate, 0, stream, number(0x7fffffff, 4));
}

// One field of 4,000 bytes goes into the table and is then named by a byte each.
std::string bomb(uint32_t stream) {
  const std::string entry = "\x40" + prefixed(1) + "x" + prefixed(4000) + std::string(4000, 'x');
  return frame(kHeaders, kEndHeaders | kEndStream, stream,
               block(request("GET", "/a")) + entry + std::string(8000, '\xbe'));
}
std::string crumbs(uint32_t stream) {
  return frame(kHeaders, kEndHeaders | kEndStream, stream,
               block(request("GET", "/a")) + "\x40" + prefixed(6) + "cookie" + prefixed(1) + "x" +
                   std::string(16000, '\xbe'));
}

std::vector<Row> flood_rows() {
  const uint32_t calm = NGHTTP2_ENHANCE_YOUR_CALM;
  return {
      {"rapid reset", streams(80, opened_and_reset), calm},
      {"made you reset", streams(80, made_to_reset), calm},
      {"CONTINUATION",
       frame(kHeaders, 0, 1, block(request("GET", "/a"))) + times(20, frame(kContinuation, 0, 1, "")), calm},
      {"PING", times(80, frame(kPing, 0, 0, "12345678")), calm},
      {"SETTINGS", times(80, frame(kSettings, 0, 0, "")), calm},
      {"empty DATA", kPost + times(80, frame(kData, 0, 1, "")), calm},
      {"PRIORITY", times(80, frame(kPriority, 0, 1, number(0, 5))), calm},
      {"decreasing streams", headers(5, request("GET", "/a")) + times(80, headers(3, request("GET", "/a"))),
       calm},
      {"an HPACK bomb", bomb(1), calm},
      {"an HPACK bomb of cookies", crumbs(1), calm},
      {"heads that are too large",
       streams(8,
               [](uint32_t stream) {
                 return headers(
                     stream,
                     request("GET", "/a", {{"x", std::string(8000, 'x')}, {"y", std::string(8200, 'y')}}));
               }),
       calm},
  };
}

TEST(Http2HostileClient, EndsTheConnectionWithTheCodeOfTheProtocol) {
  LiveHttp2Server live(limits());
  for (const Row& row : connection_rows()) {
    SCOPED_TRACE(row.name);
    FrameClient client(live.port);
    client.send(row.bytes);
    EXPECT_EQ(client.ends_with(), static_cast<int>(row.code));
  }
}

TEST(Http2HostileClient, ResetsTheStreamAndGoesOnWithOthers) {
  LiveHttp2Server live(limits());
  for (const Row& row : stream_rows()) {
    SCOPED_TRACE(row.name);
    FrameClient client(live.port);
    client.send(row.bytes + headers(3, request("GET", "/fine")));
    uint32_t reset = 999;
    for (bool answered = false; !answered || reset == 999;) {
      const Frame got = client.next();
      if (got.type == 255) break;
      if (got.type == kRstStream && got.stream == 1) reset = got.error();
      if (got.type == kData && got.stream == 3) answered = true;
    }
    EXPECT_EQ(reset, row.code);
  }
  // No handler saw the end of a request that was refused: only the others.
  EXPECT_EQ(live.echo.complete, static_cast<int>(stream_rows().size()));
}

TEST(Http2HostileClient, IsToldToCalmDown) {
  LiveHttp2Server live(limits());
  for (const Row& row : flood_rows()) {
    SCOPED_TRACE(row.name);
    FrameClient client(live.port);
    client.send(row.bytes);
    EXPECT_EQ(client.ends_with(), static_cast<int>(row.code));
  }
  // The last one may still be listened to.
  EXPECT_GE(live.server().metrics().broken.get() + 1, flood_rows().size());
}

TEST(Http2HostileClient, NeedsAPreface) {
  LiveHttp2Server live(limits());
  // Without its length: a text may follow.
  const std::string goaway = frame(kGoaway, 0, 0, number(0, 4) + number(NGHTTP2_PROTOCOL_ERROR, 4)).substr(3);
  for (const std::string& bytes : {std::string("GET / HTTP/1.1\r\nHost: x\r\n\r\n"),
                                   std::string(kPreface) + frame(kPing, 0, 0, "12345678"),
                                   std::string(kPreface.substr(0, 20)) + "XXXXXX", std::string(100, '\0')}) {
    RawClient raw(live.port);
    raw.send(bytes);
    const std::string answer = raw.read_all();
    EXPECT_FALSE(raw.timed_out());
    EXPECT_TRUE(answer.contains(goaway)) << bytes;
  }
}

// A client that takes nothing and asks for more and more.
TEST(Http2HostileClient, HoldsNoMoreThanItsStreams) {
  LiveHttp2Server live(limits());
  FrameClient client(live.port, setting(4, 0));
  client.send(streams(300, [](uint32_t stream) { return headers(stream, request("GET", "/")); }));
  EXPECT_EQ(client.ends_with(), NGHTTP2_ENHANCE_YOUR_CALM);
  EXPECT_LE(live.echo.handled, 100);
}

}  // namespace
}  // namespace terrace::http
