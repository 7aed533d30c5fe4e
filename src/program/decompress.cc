#include "program/decompress.h"

#include <zlib.h>
#include <zstd.h>

#include <algorithm>
#include <array>

#include "base/assert.h"

namespace terrace::program {
namespace {

constexpr size_t kPieceBytes = 64 << 10;
constexpr std::string_view kGzip = "\x1f\x8b";
constexpr std::string_view kZstd = "\x28\xb5\x2f\xfd";

class Plain final : public Decompressor {
 public:
  Result<void> add(std::string_view bytes, const Sink& sink) override {
    while (!bytes.empty()) {
      const std::string_view piece = bytes.substr(0, kPieceBytes);
      if (Result<void> done = sink(piece); !done) return done;
      bytes.remove_prefix(piece.size());
    }
    return {};
  }
  bool at_end() const override { return true; }
  const char* name() const override { return "plain"; }
};

// Several members may follow each other (RFC 1952, 2.2).
class Gzip final : public Decompressor {
 public:
  Gzip() { ASSERT(::inflateInit2(&stream_, MAX_WBITS + 16) == Z_OK); }
  ~Gzip() override { ::inflateEnd(&stream_); }

  Result<void> add(std::string_view bytes, const Sink& sink) override {
    stream_.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));
    stream_.avail_in = static_cast<uInt>(bytes.size());
    for (bool full = false; stream_.avail_in > 0 || full;) {
      if (ended_) {
        ::inflateReset(&stream_);
        ended_ = false;
      }
      stream_.next_out = reinterpret_cast<Bytef*>(piece_.data());
      stream_.avail_out = static_cast<uInt>(piece_.size());
      const int result = ::inflate(&stream_, Z_NO_FLUSH);
      if (result != Z_OK && result != Z_STREAM_END && result != Z_BUF_ERROR)
        return fail(Code::kInvalid, "gzip", "the compressed archive is damaged");
      ended_ = result == Z_STREAM_END;
      full = stream_.avail_out == 0 && !ended_;
      const std::string_view plain(piece_.data(), piece_.size() - stream_.avail_out);
      if (Result<void> done = plain.empty() ? Result<void>{} : sink(plain); !done) return done;
    }
    return {};
  }
  bool at_end() const override { return ended_; }
  const char* name() const override { return "gzip"; }

 private:
  z_stream stream_{};
  bool ended_ = false;
  std::array<char, kPieceBytes> piece_{};
};

class Zstd final : public Decompressor {
 public:
  ~Zstd() override { ::ZSTD_freeDStream(stream_); }

  Result<void> add(std::string_view bytes, const Sink& sink) override {
    ZSTD_inBuffer in{.src = bytes.data(), .size = bytes.size(), .pos = 0};
    for (bool full = false; in.pos < in.size || full;) {
      ZSTD_outBuffer out{.dst = piece_.data(), .size = piece_.size(), .pos = 0};
      left_ = ::ZSTD_decompressStream(stream_, &out, &in);
      if (::ZSTD_isError(left_) != 0)
        return fail(Code::kInvalid, "zstd", "the compressed archive is damaged");
      // Behind the end of a frame the next call would ask for another one.
      full = out.pos == out.size && left_ != 0;
      const std::string_view plain(piece_.data(), out.pos);
      if (Result<void> done = plain.empty() ? Result<void>{} : sink(plain); !done) return done;
    }
    return {};
  }
  bool at_end() const override { return left_ == 0; }
  const char* name() const override { return "zstd"; }

 private:
  ZSTD_DStream* stream_ = ::ZSTD_createDStream();
  size_t left_ = 1;  // 0 at the end of a frame
  std::array<char, kPieceBytes> piece_{};
};

}  // namespace

std::unique_ptr<Decompressor> decompressor_for(std::string_view beginning) {
  if (beginning.starts_with(kGzip)) return std::make_unique<Gzip>();
  if (beginning.starts_with(kZstd)) return std::make_unique<Zstd>();
  return std::make_unique<Plain>();
}

}  // namespace terrace::program
