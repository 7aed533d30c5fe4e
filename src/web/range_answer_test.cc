// Conditional and partial answers.

#include "web/site_fixture.h"

namespace terrace::web {
namespace {

class RangeAnswerTest : public SiteFixture, public testing::WithParamInterface<uint64_t> {
 protected:
  RangeAnswerTest() {
    limits_.content_bytes_max = GetParam();
    write("/digits.bin", "0123456789");
  }
  Exchange ask(std::initializer_list<std::pair<std::string_view, std::string_view>> fields,
               http::Method method = http::Method::kGet) {
    if (server_ == nullptr) start();
    Exchange exchange = make("/digits.bin", method);
    for (const auto& [name, value] : fields) exchange->add(name, value);
    serve(*exchange);
    return exchange;
  }
};

// From memory, and from an open file.
INSTANTIATE_TEST_SUITE_P(Sizes, RangeAnswerTest, testing::Values(1000, 5));

TEST_P(RangeAnswerTest, OnePart) {
  const Exchange exchange = ask({{"Range", "bytes=2-4"}});
  EXPECT_EQ(exchange->status(), 206);
  EXPECT_EQ(exchange->value("Content-Range"), "bytes 2-4/10");
  EXPECT_EQ(exchange->body(), "234");
}

TEST_P(RangeAnswerTest, SeveralParts) {
  const Exchange exchange = ask({{"Range", "bytes=7-,0-1"}});
  EXPECT_EQ(exchange->status(), 206);
  const std::string type = exchange->value("Content-Type");
  ASSERT_TRUE(type.starts_with("multipart/byteranges; boundary="));
  const std::string boundary = type.substr(type.find('=') + 1);
  EXPECT_EQ(exchange->value("Content-Range"), "");
  EXPECT_EQ(exchange->body(),
            "\r\n--" + boundary +
                "\r\nContent-Type: application/octet-stream\r\nContent-Range: bytes 7-9/10\r\n\r\n789"
                "\r\n--" +
                boundary +
                "\r\nContent-Type: application/octet-stream\r\nContent-Range: bytes 0-1/10\r\n\r\n01"
                "\r\n--" +
                boundary + "--\r\n");
  EXPECT_FALSE(exchange->aborted());
}

TEST_P(RangeAnswerTest, OverlappingPartsBecomeOne) {
  const Exchange exchange = ask({{"Range", "bytes=0-5,3-8"}});
  EXPECT_EQ(exchange->status(), 206);
  EXPECT_EQ(exchange->body(), "012345678");
}

TEST_P(RangeAnswerTest, OutsideOfTheFile) {
  const Exchange exchange = ask({{"Range", "bytes=10-"}});
  EXPECT_EQ(exchange->status(), 416);
  EXPECT_EQ(exchange->value("Content-Range"), "bytes */10");
}

TEST_P(RangeAnswerTest, BadSyntaxAndHeadGetTheWhole) {
  EXPECT_EQ(ask({{"Range", "bytes=x"}})->status(), 200);
  EXPECT_EQ(ask({{"Range", "bytes=2-4"}}, http::Method::kHead)->status(), 200);
}

TEST_P(RangeAnswerTest, IfRangeDecidesBetweenPartAndWhole) {
  const std::string etag = ask({})->value("ETag");
  EXPECT_EQ(ask({{"Range", "bytes=2-4"}, {"If-Range", etag}})->status(), 206);
  EXPECT_EQ(ask({{"Range", "bytes=2-4"}, {"If-Range", "\"other\""}})->status(), 200);
  EXPECT_EQ(ask({{"Range", "bytes=2-4"}, {"If-Range", "Sun, 13 Sep 2020 12:26:40 GMT"}})->status(), 206);
  EXPECT_EQ(ask({{"Range", "bytes=2-4"}, {"If-Range", "Sun, 13 Sep 2020 12:26:41 GMT"}})->status(), 200);
}

TEST_P(RangeAnswerTest, NotModifiedHasNoBodyAndNothingOfIt) {
  const Exchange first = ask({});
  const Exchange exchange = ask({{"If-None-Match", first->value("ETag")}});
  EXPECT_EQ(exchange->status(), 304);
  EXPECT_EQ(exchange->body(), "");
  EXPECT_EQ(exchange->value("ETag"), first->value("ETag"));
  EXPECT_EQ(exchange->value("Content-Type"), "");
  EXPECT_EQ(ask({{"If-Modified-Since", first->value("Last-Modified")}})->status(), 304);
}

TEST_P(RangeAnswerTest, PreconditionsGoBeforeRanges) {
  const std::string etag = ask({})->value("ETag");
  EXPECT_EQ(ask({{"If-Match", "\"other\""}, {"Range", "bytes=0-1"}})->status(), 412);
  EXPECT_EQ(ask({{"If-Unmodified-Since", "Sun, 13 Sep 2020 12:26:39 GMT"}})->status(), 412);
  EXPECT_EQ(ask({{"If-None-Match", etag}, {"Range", "bytes=0-1"}})->status(), 304);
  EXPECT_EQ(ask({{"If-Match", etag}, {"Range", "bytes=0-1"}})->status(), 206);
}

}  // namespace
}  // namespace terrace::web
