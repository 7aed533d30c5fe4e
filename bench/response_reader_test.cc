#include "bench/response_reader.h"

#include <gtest/gtest.h>

#include "bench/payload.h"

namespace terrace::bench {
namespace {

using Outcome = ResponseReader::Outcome;

TEST(ResponseReader, ReadsOneResponseAfterTheOther) {
  ResponseReader reader;
  const Expected expected{.body_bytes = 200, .is_payload = true};
  for (int i = 0; i < 3; ++i) EXPECT_EQ(reader.read(response_of(200), expected), Outcome::kDone);
}

TEST(ResponseReader, TakesAResponseByteByByte) {
  ResponseReader reader;
  const Expected expected{.body_bytes = 300, .is_payload = true};
  const std::string response = response_of(300);
  for (size_t i = 0; i + 1 < response.size(); ++i) {
    ASSERT_EQ(reader.read(response.substr(i, 1), expected), Outcome::kMore) << i;
    EXPECT_TRUE(reader.is_within());
  }
  EXPECT_EQ(reader.read(response.substr(response.size() - 1), expected), Outcome::kDone);
  EXPECT_FALSE(reader.is_within());
}

TEST(ResponseReader, FindsContentLengthInAnyCase) {
  ResponseReader reader;
  EXPECT_EQ(reader.read("HTTP/1.1 200 OK\r\ndate: x\r\ncontent-length:2\r\n\r\nok", Expected{}),
            Outcome::kDone);
}

TEST(ResponseReader, TellsWhatIsWrong) {
  const Expected expected{.body_bytes = 2, .is_payload = true};
  const auto outcome = [&](const std::string& bytes) { return ResponseReader().read(bytes, expected); };
  EXPECT_EQ(outcome("HTTP/1.1 502 Bad\r\nContent-Length: 2\r\n\r\nab"), Outcome::kStatus);
  EXPECT_EQ(outcome("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc"), Outcome::kLength);
  EXPECT_EQ(outcome("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nxx"), Outcome::kBody);
  EXPECT_EQ(outcome("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nabc"), Outcome::kUnexpected);
  EXPECT_EQ(outcome("HTTP/1.1 200 OK\r\n\r\n"), Outcome::kMalformed);
  EXPECT_EQ(outcome("HTTP/1.1 200 OK\r\nContent-Length:  \r\n\r\n"), Outcome::kMalformed);
  EXPECT_EQ(outcome("SSH-2.0\r\n\r\n"), Outcome::kMalformed);
  EXPECT_EQ(outcome(std::string(20'000, 'x')), Outcome::kMalformed);
}

TEST(Payload, ShowsABlockThatMoved) {
  const std::string bytes = payload(40'000);
  EXPECT_TRUE(is_payload(bytes, 0));
  EXPECT_TRUE(is_payload(std::string_view(bytes).substr(1234), 1234));
  EXPECT_FALSE(is_payload(std::string_view(bytes).substr(4096), 0));
  EXPECT_FALSE(is_payload(bytes.substr(0, 30'000) + "?" + bytes.substr(30'001), 0));
}

}  // namespace
}  // namespace terrace::bench
