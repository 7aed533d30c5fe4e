#include "web/compress.h"

#include <brotli/encode.h>
#include <zlib.h>
#include <zstd.h>

#include "base/assert.h"

namespace terrace::web {
namespace {

// Levels where more effort gains little: the result is kept and sent many times,
// but the first client waits for it.
constexpr int kBrotliQuality = 5;
constexpr int kZstdLevel = 8;
constexpr int kGzipLevel = 6;

// Each gives the bytes used of `into`, or 0 when that is too small.

size_t brotli(std::string_view content, std::string& into) {
  size_t size = into.size();
  const BROTLI_BOOL done = ::BrotliEncoderCompress(
      kBrotliQuality, BROTLI_DEFAULT_WINDOW, BROTLI_MODE_GENERIC, content.size(),
      reinterpret_cast<const uint8_t*>(content.data()), &size, reinterpret_cast<uint8_t*>(into.data()));
  return done == BROTLI_TRUE ? size : 0;
}

size_t zstd(std::string_view content, std::string& into) {
  const size_t size = ::ZSTD_compress(into.data(), into.size(), content.data(), content.size(), kZstdLevel);
  return ::ZSTD_isError(size) != 0 ? 0 : size;
}

size_t gzip(std::string_view content, std::string& into) {
  constexpr int kWindowBitsGzip = 15 + 16;  // 16: a gzip header instead of zlib's
  z_stream stream{};
  if (::deflateInit2(&stream, kGzipLevel, Z_DEFLATED, kWindowBitsGzip, 8, Z_DEFAULT_STRATEGY) != Z_OK)
    return 0;
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(content.data()));
  stream.avail_in = static_cast<uInt>(content.size());
  stream.next_out = reinterpret_cast<Bytef*>(into.data());
  stream.avail_out = static_cast<uInt>(into.size());
  const int result = ::deflate(&stream, Z_FINISH);
  const size_t size = result == Z_STREAM_END ? stream.total_out : 0;
  ::deflateEnd(&stream);
  return size;
}

size_t compress_into(std::string_view content, Coding coding, std::string& into) {
  if (coding == Coding::kBrotli) return brotli(content, into);
  if (coding == Coding::kZstd) return zstd(content, into);
  return gzip(content, into);
}

}  // namespace

std::optional<std::string> compress(std::string_view content, Coding coding) {
  ASSERT(coding != Coding::kIdentity);
  // What does not fit here is not worth sending, so no compressor needs more room.
  std::string compressed(content.size() - content.size() / 20, '\0');
  const size_t size = compress_into(content, coding, compressed);
  if (size == 0) return std::nullopt;
  compressed.resize(size);
  compressed.shrink_to_fit();
  return compressed;
}

}  // namespace terrace::web
