#include "http/http2_server.h"

#include <gtest/gtest.h>
#include <nghttp2/nghttp2.h>

#include "http/http2_frames_test.h"
#include "http/http2_live_test.h"

namespace terrace::http {
namespace {

using namespace std::chrono_literals;

class Http2ServerTest : public testing::Test {
 protected:
  static Http2Server::Limits limits() {
    Http2Server::Limits limits;
    limits.exchange.progress_max = 300ms;
    limits.exchange.body_bytes_max = 200'000;
    limits.connection.head_timeout = 300ms;
    limits.connection.streams_max = 10;
    limits.connection.oddities_max = 50;
    limits.connection.oddities_per_second = 1;
    return limits;
  }
  LiveHttp2Server live_{limits()};
  FrameClient client_{live_.port};
};

TEST_F(Http2ServerTest, SaysItsLimitsFirst) {
  const Frame settings = client_.next();
  EXPECT_EQ(settings.type, kSettings);
  EXPECT_EQ(settings.payload.substr(0, 6), setting(3, 10));
}

TEST_F(Http2ServerTest, AnswersARequest) {
  client_.send(headers(1, request("GET", "/a?b", {{"x-one", "1"}})));
  EXPECT_EQ(client_.body(1), "GET /a?b shop.example.com 0:\nx-one: 1");
}

TEST_F(Http2ServerTest, AnswersManyStreamsOfOneConnection) {
  std::string all;
  for (uint32_t stream = 1; stream < 20; stream += 2) all += headers(stream, request("GET", "/a"));
  client_.send(all);
  for (int left = 10; left > 0;) {
    const Frame got = client_.next();
    ASSERT_NE(got.type, 255);
    if (got.type == kData && (got.flags & kEndStream) != 0) --left;
  }
}

// The names of a block's fields that take no place in the table of HPACK.
std::string not_indexed(nghttp2_hd_inflater* inflater, const std::string& block) {
  std::string names;
  const auto* at = reinterpret_cast<const uint8_t*>(block.data());
  const uint8_t* const end = at + block.size();
  for (int flags = 0; (flags & NGHTTP2_HD_INFLATE_FINAL) == 0;) {
    nghttp2_nv field{};
    const ssize_t n = nghttp2_hd_inflate_hd2(inflater, &field, &flags, at, static_cast<size_t>(end - at), 1);
    if (n < 0) return "broken";
    at += n;
    const bool kept_out =
        (flags & NGHTTP2_HD_INFLATE_EMIT) != 0 && (field.flags & NGHTTP2_NV_FLAG_NO_INDEX) != 0;
    if (kept_out) names.append(reinterpret_cast<const char*>(field.name), field.namelen).append(" ");
  }
  nghttp2_hd_inflate_end_headers(inflater);
  return names;
}

TEST_F(Http2ServerTest, NumbersOfRequestsPushNothingOutOfTheTable) {
  nghttp2_hd_inflater* inflater = nullptr;
  ASSERT_EQ(nghttp2_hd_inflate_new(&inflater), 0);
  for (const uint32_t stream : {1u, 3u}) {
    client_.send(headers(stream, request("GET", "/id")));
    EXPECT_EQ(not_indexed(inflater, client_.next(kHeaders).payload), "x-request-id ");
  }
  nghttp2_hd_inflate_del(inflater);
}

TEST_F(Http2ServerTest, ReadsBodiesOfKnownAndOfUnknownLength) {
  client_.send(headers(1, request("POST", "/", {{"content-length", "3"}}), 0) +
               frame(kData, kEndStream, 1, "abc"));
  EXPECT_EQ(client_.body(1), "POST / shop.example.com 3:abc\ncontent-length: 3");
  client_.send(headers(3, request("POST", "/"), 0) + frame(kData, 0, 3, "ab") + frame(kData, 0, 3, "cd") +
               frame(kData, kEndStream, 3, ""));
  EXPECT_EQ(client_.body(3), "POST / shop.example.com 4:abcd");
}

TEST_F(Http2ServerTest, OpensTheWindowAsABodyIsTaken) {
  client_.send(headers(1, request("POST", "/"), 0));
  // Two and a half windows of a stream.
  const std::string piece(16384, 'p');
  int64_t window = 65535;
  int left = 10;
  while (left > 0) {
    if (window >= 16384) {
      client_.send(frame(kData, --left == 0 ? kEndStream : 0, 1, piece));
      window -= 16384;
      continue;
    }
    const Frame got = client_.next(kWindowUpdate);
    ASSERT_EQ(got.type, kWindowUpdate);
    if (got.stream == 1) window += got.word(0);
  }
  EXPECT_EQ(client_.body(1).substr(0, 35), "POST / shop.example.com 163840:ppp" + std::string("p"));
}

TEST_F(Http2ServerTest, WritesPiecesOfUnknownLength) {
  client_.send(headers(1, request("GET", "/pieces")));
  EXPECT_EQ(client_.body(1), "GET /pieces shop.example.com 0:!");
}

TEST_F(Http2ServerTest, WaitsForTheWindowOfALargeAnswer) {
  client_.send(headers(1, request("GET", "/large")));
  size_t got = 0;
  while (got < 3 << 20) {
    const Frame data = client_.next(kData);
    ASSERT_EQ(data.type, kData);
    got += data.payload.size();
    client_.send(frame(kWindowUpdate, 0, 1, number(data.payload.size(), 4)) +
                 frame(kWindowUpdate, 0, 0, number(data.payload.size(), 4)));
  }
  EXPECT_EQ(got, 3u << 20);
}

TEST_F(Http2ServerTest, ASlowStreamDoesNotHoldAnother) {
  client_.send(frame(kWindowUpdate, 0, 0, number(1 << 20, 4)) + headers(1, request("GET", "/large")));
  size_t got = 0;
  while (got < 65535) got += client_.next(kData).payload.size();
  client_.send(headers(3, request("GET", "/a")));
  EXPECT_EQ(client_.body(3), "GET /a shop.example.com 0:");
}

TEST_F(Http2ServerTest, GivesAStreamUpThatIsNotRead) {
  client_.send(headers(1, request("GET", "/large")));
  const Frame reset = client_.next(kRstStream);
  EXPECT_EQ(reset.error(), static_cast<uint32_t>(NGHTTP2_CANCEL));
  client_.send(headers(3, request("GET", "/204")));
  EXPECT_EQ(client_.body(3), "");
}

TEST_F(Http2ServerTest, SendsAFile) {
  client_.send(frame(kWindowUpdate, 0, 1 - 1, number(1 << 20, 4)) + headers(1, request("GET", "/file")) +
               frame(kWindowUpdate, 0, 1, number(1 << 20, 4)));
  EXPECT_EQ(client_.body(1).size(), 100'000u);
}

TEST_F(Http2ServerTest, SendsNoBodyToHeadAndWith204) {
  client_.send(headers(1, request("HEAD", "/large")));
  const Frame head = client_.next(kHeaders);
  EXPECT_EQ(head.flags & kEndStream, kEndStream);
  client_.send(headers(3, request("GET", "/204")));
  EXPECT_EQ(client_.next(kHeaders).flags & kEndStream, kEndStream);
}

TEST_F(Http2ServerTest, ResetsAnAnswerThatWasCutShort) {
  client_.send(headers(1, request("GET", "/short")));
  EXPECT_TRUE(client_.body(1).ends_with("<reset 2>"));
  client_.send(headers(3, request("GET", "/silent")));
  EXPECT_EQ(client_.body(3), "error page");
}

TEST_F(Http2ServerTest, WantsNoMoreOfARequestThatIsAnswered) {
  client_.send(headers(1, request("POST", "/unread"), 0));
  EXPECT_EQ(client_.body(1), "not read");
  EXPECT_EQ(client_.next(kRstStream).error(), 0u);
}

TEST_F(Http2ServerTest, SaysContinueToWhoWaitsForIt) {
  client_.send(headers(1, request("POST", "/", {{"expect", "100-continue"}}), 0));
  const Frame first = client_.next(kHeaders);
  EXPECT_EQ(first.flags & kEndStream, 0);
  client_.send(frame(kData, kEndStream, 1, "abc"));
  EXPECT_EQ(client_.body(1), "POST / shop.example.com 3:abc\nexpect: 100-continue");
}

TEST_F(Http2ServerTest, JoinsTheCrumbsOfACookie) {
  client_.send(headers(
      1, request("GET", "/a", {{"cookie", "a=1"}, {"cookie", "b=2"}, {"x", "y"}, {"cookie", "c=3"}})));
  EXPECT_EQ(client_.body(1), "GET /a shop.example.com 0:\ncookie: a=1; b=2; c=3\nx: y");
}

TEST_F(Http2ServerTest, UsesTrailersForNothing) {
  client_.send(headers(1, request("POST", "/"), 0) + frame(kData, 0, 1, "abc") +
               headers(1, {{"authorization", "me"}}));
  EXPECT_EQ(client_.body(1), "POST / shop.example.com 3:abc");
}

TEST_F(Http2ServerTest, MakesATunnelOfAnExtendedConnect) {
  client_.send(headers(1,
                       {{":method", "CONNECT"},
                        {":protocol", "websocket"},
                        {":scheme", "http"},
                        {":authority", "shop.example.com"},
                        {":path", "/chat"}},
                       0));
  EXPECT_EQ(client_.next(kHeaders).flags & kEndStream, 0);
  client_.send(frame(kData, 0, 1, "one"));
  EXPECT_EQ(client_.next(kData).payload, "<one>");
  client_.send(frame(kData, kEndStream, 1, "two"));
  EXPECT_EQ(client_.body(1), "<two>");
}

TEST_F(Http2ServerTest, TellsTheHandlerOfAResetByTheClient) {
  client_.send(headers(1, request("POST", "/hang"), 0) + headers(3, request("GET", "/a")));
  client_.body(3);
  client_.send(frame(kRstStream, 0, 1, number(8, 4)) + headers(5, request("GET", "/a")));
  client_.body(5);
  EXPECT_EQ(live_.echo.hung, 1);
}

TEST_F(Http2ServerTest, GivesASlowBodyUp) {
  client_.send(headers(1, request("POST", "/"), 0));
  EXPECT_EQ(client_.body(1), "no progress");
}

TEST_F(Http2ServerTest, RefusesWhatIsTooMuch) {
  client_.send(headers(1, request("POST", "/", {{"content-length", "200001"}}), 0));
  EXPECT_EQ(client_.body(1), "the body is larger than allowed");
  client_.send(headers(3, request("GET", "/" + std::string(9000, 'a'))));
  EXPECT_EQ(client_.body(3), "error page");
  Pairs many = request("GET", "/a");
  for (int i = 0; i < 101; ++i) many.push_back({"x", "y"});
  client_.send(headers(5, many));
  EXPECT_EQ(client_.body(5), "error page");
}

TEST_F(Http2ServerTest, RefusesHeadsThatHttp1RefusesToo) {
  uint32_t stream = 1;
  for (const Pairs& bad :
       {request("TRACE", "/"), request("BREW", "/"), request("GET", "/", {{"host", "other"}}),
        request("GET", "/", {{"expect", "the impossible"}}),
        Pairs{{":method", "GET"}, {":scheme", "http"}, {":authority", "a@b"}, {":path", "/"}}}) {
    client_.send(headers(stream, bad));
    EXPECT_EQ(client_.body(stream), "error page") << stream;
    stream += 2;
  }
}

TEST_F(Http2ServerTest, EndsWithItsLastStreamWhenItIsDrained) {
  client_.send(headers(1, request("POST", "/"), 0) + headers(3, request("GET", "/a")));
  client_.body(3);
  live_.drain(2s);
  EXPECT_EQ(client_.next(kGoaway).word(0), 0x7fffffffu);
  // What was on its way is still answered.
  client_.send(headers(5, request("GET", "/a")) + frame(kData, kEndStream, 1, "abc"));
  std::string bodies;
  int ended = 0;
  for (;;) {
    const Frame got = client_.next();
    if (got.type == 255) break;
    if (got.type == kData && (got.flags & kEndStream) != 0) ++ended;
    if (got.type == kGoaway) EXPECT_EQ(got.word(0), 5u);
  }
  EXPECT_EQ(ended, 2);
}

TEST_F(Http2ServerTest, TwoDrainsAtOnceBothComeToTheirEnd) {
  client_.send(headers(1, request("POST", "/"), 0));
  EXPECT_EQ(client_.next().type, kSettings);
  live_.drain(10s);
  live_.drain(10s);
  EXPECT_EQ(client_.next(kGoaway).type, kGoaway);
  client_.send(frame(kData, kEndStream, 1, "abc"));
  while (client_.next().type != 255) continue;
  while (live_.drained() < 2) std::this_thread::yield();
}

TEST_F(Http2ServerTest, WhileItClosesEveryConnectionIsToldToGo) {
  submit(live_.reactor(), [this] { live_.server().set_closing(true); });
  EXPECT_EQ(client_.next(kGoaway).word(0), 0x7fffffffu);
  FrameClient late(live_.port);
  late.send(headers(1, request("GET", "/a")));
  EXPECT_EQ(late.body(1), "GET /a shop.example.com 0:");
  while (late.next().type != 255) continue;
  submit(live_.reactor(), [this] { live_.server().set_closing(false); });
  FrameClient again(live_.port);
  for (const uint32_t stream : {1U, 3U}) {
    again.send(headers(stream, request("GET", "/a")));
    EXPECT_EQ(again.body(stream), "GET /a shop.example.com 0:");
  }
}

TEST_F(Http2ServerTest, IsNotKeptByAPeerThatSendsNothing) {
  RawClient silent(live_.port);
  EXPECT_NE(silent.read_all().find(std::string("\0\0\0\x04", 4), 20), std::string::npos);
}

TEST_F(Http2ServerTest, GivesAHeadUpThatDoesNotEnd) {
  client_.send(frame(kHeaders, kEndStream, 1, block(request("GET", "/a"))));
  EXPECT_EQ(client_.ends_with(), NGHTTP2_ENHANCE_YOUR_CALM);
}

TEST_F(Http2ServerTest, UsesItsExchangesAgain) {
  for (uint32_t stream = 1; stream < 41; stream += 2) {
    client_.send(headers(stream, request("POST", "/"), 0) + frame(kData, kEndStream, stream, "abc"));
    client_.body(stream);
  }
  // The answer's end may overtake the end of its handler.
  EXPECT_LE(live_.server().exchanges_made(), 2u);
}

}  // namespace
}  // namespace terrace::http
