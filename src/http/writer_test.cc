#include "http/writer.h"

#include <gtest/gtest.h>

#include <array>
#include <string>

namespace terrace::http {
namespace {

void write_response(HeadWriter& writer) {
  writer.status_line(404);
  writer.field("Content-Type", "text/html");
  writer.field("Content-Length", uint64_t{18446744073709551615u});
  writer.field("X-Empty", "");
  writer.text("X-Number: ");
  writer.number(0);
  writer.text("\r\n");
  writer.end();
}

constexpr std::string_view kResponse =
    "HTTP/1.1 404 Not Found\r\nContent-Type: text/html\r\nContent-Length: 18446744073709551615\r\nX-Empty: "
    "\r\n"
    "X-Number: 0\r\n\r\n";

TEST(HeadWriter, writes_a_response_head) {
  std::array<char, 256> buffer;
  HeadWriter writer(buffer);
  write_response(writer);
  EXPECT_FALSE(writer.overflow());
  EXPECT_EQ(writer.written(), kResponse);
}

TEST(HeadWriter, writes_a_request_line) {
  std::array<char, 64> buffer;
  HeadWriter writer(buffer);
  writer.request_line("GET", "/a?b");
  EXPECT_EQ(writer.written(), "GET /a?b HTTP/1.1\r\n");
}

TEST(HeadWriter, an_unknown_status_has_no_reason) {
  std::array<char, 64> buffer;
  HeadWriter writer(buffer);
  writer.status_line(299);
  EXPECT_EQ(writer.written(), "HTTP/1.1 299 \r\n");
}

TEST(HeadWriter, a_buffer_of_the_very_size_is_enough) {
  std::string buffer(kResponse.size(), '\0');
  HeadWriter writer(buffer);
  write_response(writer);
  EXPECT_FALSE(writer.overflow());
  EXPECT_EQ(writer.written(), kResponse);
}

TEST(HeadWriter, writes_nothing_past_a_buffer_that_is_too_small) {
  for (size_t size = 0; size < kResponse.size(); size++) {
    std::string buffer(size + 1, '#');
    HeadWriter writer(std::span(buffer).first(size));
    write_response(writer);
    EXPECT_TRUE(writer.overflow()) << size;
    EXPECT_TRUE(kResponse.starts_with(writer.written())) << size;
    EXPECT_EQ(buffer.back(), '#') << size;
  }
}

}  // namespace
}  // namespace terrace::http
