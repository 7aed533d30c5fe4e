#include "web/compress.h"

#include <brotli/decode.h>
#include <gtest/gtest.h>
#include <zlib.h>
#include <zstd.h>

namespace terrace::web {
namespace {

std::string text() {
  std::string result;
  for (int i = 0; i < 2000; ++i) result += "line " + std::to_string(i * 7919 % 1000) + " of a text\n";
  return result;
}

std::string expand(const std::string& compressed, Coding coding, size_t size) {
  std::string result(size, '\0');
  size_t done = size;
  auto* into = reinterpret_cast<uint8_t*>(result.data());
  const auto* from = reinterpret_cast<const uint8_t*>(compressed.data());
  if (coding == Coding::kBrotli) {
    EXPECT_EQ(::BrotliDecoderDecompress(compressed.size(), from, &done, into), BROTLI_DECODER_RESULT_SUCCESS);
  } else if (coding == Coding::kZstd) {
    done = ::ZSTD_decompress(into, size, from, compressed.size());
  } else {
    z_stream stream{};
    EXPECT_EQ(::inflateInit2(&stream, 15 + 16), Z_OK);  // gzip only
    stream.next_in = const_cast<Bytef*>(from);
    stream.avail_in = static_cast<uInt>(compressed.size());
    stream.next_out = into;
    stream.avail_out = static_cast<uInt>(size);
    EXPECT_EQ(::inflate(&stream, Z_FINISH), Z_STREAM_END);
    done = stream.total_out;
    ::inflateEnd(&stream);
  }
  EXPECT_EQ(done, size);
  return result;
}

TEST(Compress, GivesBackTheSameTextInEachCoding) {
  const std::string original = text();
  for (const Coding coding : {Coding::kGzip, Coding::kZstd, Coding::kBrotli}) {
    const std::optional<std::string> compressed = compress(original, coding);
    ASSERT_TRUE(compressed) << coding_name(coding);
    EXPECT_LT(compressed->size(), original.size() / 3);
    EXPECT_EQ(expand(*compressed, coding, original.size()), original);
    EXPECT_EQ(compress(original, coding), compressed);
  }
}

TEST(Compress, GivesUpWhereNothingIsGained) {
  std::string noise(4096, '\0');
  uint64_t state = 88172645463325252;
  for (char& c : noise) {
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    c = static_cast<char>(state);
  }
  for (const Coding coding : {Coding::kGzip, Coding::kZstd, Coding::kBrotli}) {
    EXPECT_EQ(compress(noise, coding), std::nullopt) << coding_name(coding);
  }
}

}  // namespace
}  // namespace terrace::web
