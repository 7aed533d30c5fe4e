#include "program/decompress.h"

#include <gtest/gtest.h>
#include <zlib.h>
#include <zstd.h>

#include <string>

namespace terrace::program {
namespace {

std::string plain_bytes(size_t bytes) {
  std::string text(bytes, '\0');
  for (size_t i = 0; i < bytes; ++i) text[i] = static_cast<char>(i * i % 251);
  return text;
}

std::string zstd_of(const std::string& plain) {
  std::string packed(::ZSTD_compressBound(plain.size()), '\0');
  packed.resize(::ZSTD_compress(packed.data(), packed.size(), plain.data(), plain.size(), 3));
  return packed;
}

std::string gzip_of(const std::string& plain) {
  z_stream stream{};
  ::deflateInit2(&stream, 6, Z_DEFLATED, MAX_WBITS + 16, 8, Z_DEFAULT_STRATEGY);
  std::string packed(::deflateBound(&stream, plain.size()), '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(plain.data()));
  stream.avail_in = static_cast<uInt>(plain.size());
  stream.next_out = reinterpret_cast<Bytef*>(packed.data());
  stream.avail_out = static_cast<uInt>(packed.size());
  ::deflate(&stream, Z_FINISH);
  packed.resize(packed.size() - stream.avail_out);
  ::deflateEnd(&stream);
  return packed;
}

// What comes out, and whether that was the end.
std::pair<std::string, bool> unpack(const std::string& packed, size_t piece) {
  const std::unique_ptr<Decompressor> decompressor = decompressor_for(packed);
  std::string plain;
  for (size_t at = 0; at < packed.size(); at += piece) {
    const Result<void> done = decompressor->add(std::string_view(packed).substr(at, piece),
                                                [&plain](std::string_view some) -> Result<void> {
                                                  plain += some;
                                                  return {};
                                                });
    if (!done) return {plain, false};
  }
  return {plain, decompressor->at_end()};
}

// The sizes of tar archives are multiples of 10240, the pieces that come out are of 65536
// bytes: that both end at the same byte is not rare.
TEST(Decompress, KnowsTheEndWhereverItLies) {
  for (const size_t bytes : {size_t{1}, size_t{10'240}, size_t{65'536}, size_t{327'680}, size_t{327'681}}) {
    const std::string plain = plain_bytes(bytes);
    for (const std::string& packed : {zstd_of(plain), gzip_of(plain)}) {
      for (const size_t piece : {packed.size(), size_t{1000}})
        EXPECT_EQ(unpack(packed, piece), std::pair(plain, true)) << bytes << " in pieces of " << piece;
    }
  }
}

TEST(Decompress, SaysWhenTheEndIsMissing) {
  const std::string plain = plain_bytes(327'680);
  for (const std::string& packed : {zstd_of(plain), gzip_of(plain)})
    EXPECT_FALSE(unpack(packed.substr(0, packed.size() - 1), 1000).second);
}

}  // namespace
}  // namespace terrace::program
