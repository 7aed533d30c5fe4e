#include "http/chunk.h"

#include <gtest/gtest.h>

#include <array>
#include <string>

#include "http/writer.h"

namespace terrace::http {
namespace {

TEST(ChunkDecoder, gives_one_piece_of_data_at_a_time_as_a_view) {
  const std::string text = "5\r\nhello\r\n6\r\n world\r\n0\r\n\r\nnext";
  ChunkDecoder decoder;
  std::string_view rest = text;
  ChunkDecoder::Step step = decoder.decode(rest);
  EXPECT_EQ(step.state, Parsed::kIncomplete);
  EXPECT_EQ(step.data, "hello");
  EXPECT_EQ(step.data.data(), text.data() + 3);
  rest.remove_prefix(step.consumed);
  step = decoder.decode(rest);
  EXPECT_EQ(step.data, " world");
  rest.remove_prefix(step.consumed);
  step = decoder.decode(rest);
  EXPECT_EQ(step.state, Parsed::kDone);
  EXPECT_EQ(step.data, "");
  rest.remove_prefix(step.consumed);
  EXPECT_EQ(rest, "next");
}

TEST(ChunkDecoder, gives_a_part_of_a_chunk_as_soon_as_it_is_there) {
  ChunkDecoder decoder;
  const ChunkDecoder::Step first = decoder.decode("5\r\nhel");
  EXPECT_EQ(first.data, "hel");
  EXPECT_EQ(first.consumed, 6u);
  EXPECT_EQ(decoder.decode("lo\r\n").data, "lo");
}

TEST(ChunkDecoder, is_done_until_it_is_reset) {
  ChunkDecoder decoder;
  EXPECT_EQ(decoder.decode("0\r\n\r\n").state, Parsed::kDone);
  EXPECT_EQ(decoder.decode("5\r\nhello").state, Parsed::kDone);
  EXPECT_EQ(decoder.decode("5\r\nhello").consumed, 0u);
  decoder.reset();
  EXPECT_EQ(decoder.decode("5\r\nhello").data, "hello");
}

TEST(ChunkDecoder, says_why_it_refuses) {
  ChunkDecoder decoder;
  EXPECT_EQ(decoder.decode("x\r\n").state, Parsed::kRefused);
  EXPECT_EQ(decoder.refusal().status, 400);
  EXPECT_STREQ(decoder.refusal().text, "a chunk size is not a hexadecimal number");
}

TEST(ChunkDecoder, takes_the_largest_chunk_and_no_larger) {
  ChunkDecoder decoder;
  EXPECT_EQ(decoder.decode("7fffffffffffffff\r\nx").data, "x");
  decoder.reset();
  EXPECT_EQ(decoder.decode("8000000000000000\r\n").state, Parsed::kRefused);
}

// A stream of small events may go on for days.
TEST(ChunkDecoder, tiny_chunks_may_go_on_for_ever) {
  ChunkDecoder decoder;
  for (int i = 0; i < 100'000; i++) {
    ASSERT_EQ(decoder.decode("1\r\nx").data, "x");
    ASSERT_EQ(decoder.decode("\r\n").state, Parsed::kIncomplete);
  }
}

TEST(ChunkDecoder, data_pays_for_the_framing_of_later_chunks_only_down_to_nothing) {
  const std::string large = "100000\r\n" + std::string(0x100000, 'x') + "\r\n";
  const std::string attack = "1;" + std::string(100, 'a') + "\r\nx\r\n";
  ChunkDecoder decoder;
  std::string_view rest = large;
  while (!rest.empty()) rest.remove_prefix(decoder.decode(rest).consumed);
  int chunks = 0;
  for (Parsed state = Parsed::kIncomplete; state != Parsed::kRefused; chunks++) {
    rest = attack;
    while (!rest.empty() && state != Parsed::kRefused) {
      const ChunkDecoder::Step step = decoder.decode(rest);
      state = step.state;
      rest.remove_prefix(step.consumed);
    }
    ASSERT_LT(chunks, 1000);
  }
  EXPECT_GT(chunks, 100);
}

TEST(ChunkLine, is_what_the_decoder_reads) {
  for (const uint64_t bytes : {uint64_t{1}, uint64_t{500}, ChunkDecoder::kSizeMax}) {
    std::array<char, 18> line;
    const size_t size = write_chunk_line(bytes, line);
    ChunkDecoder decoder;
    EXPECT_EQ(decoder.decode({line.data(), size}).consumed, size);
    EXPECT_EQ(decoder.decode("x").data, "x");
  }
}

TEST(ChunkLine, the_largest_number_fits_into_18_bytes) {
  std::array<char, 18> line;
  const size_t size = write_chunk_line(UINT64_MAX, line);
  EXPECT_EQ(std::string_view(line.data(), size), "ffffffffffffffff\r\n");
}

}  // namespace
}  // namespace terrace::http
