#include "program/log_packing.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

#include <cerrno>
#include <utility>
#include <vector>

#include "base/descriptor.h"
#include "base/file.h"
#include "program/log_parts.h"

namespace terrace::program {
namespace {

constexpr size_t kBlockBytes = 256 * 1024;
constexpr int kLevel = 6;  // of 19; about 100 MB per second and a tenth of the size

struct FreeCompression {
  void operator()(ZSTD_CStream* stream) const { ZSTD_freeCStream(stream); }
};
struct FreeDecompression {
  void operator()(ZSTD_DStream* stream) const { ZSTD_freeDStream(stream); }
};
struct CloseGzip {
  void operator()(gzFile file) const { gzclose(file); }
};

// One block of input through the stream into the file; the last one ends the frame.
Result<void> compress_block(ZSTD_CStream* stream, std::vector<char>& out, const std::vector<char>& block,
                            size_t bytes, bool last, int target) {
  ZSTD_inBuffer input{.src = block.data(), .size = bytes, .pos = 0};
  for (;;) {
    ZSTD_outBuffer output{.dst = out.data(), .size = out.size(), .pos = 0};
    const size_t left = ZSTD_compressStream2(stream, &output, &input, last ? ZSTD_e_end : ZSTD_e_continue);
    if (ZSTD_isError(left) != 0) return fail(Code::kInvalid, "zstd", "it cannot compress");
    if (Result<void> written = write_all(target, {out.data(), output.pos}); !written) return written;
    if (last ? left == 0 : input.pos == input.size) return {};
  }
}

Result<void> compress(int source, int target) {
  const std::unique_ptr<ZSTD_CStream, FreeCompression> stream(ZSTD_createCStream());
  if (!stream) return fail(Code::kLimit, "zstd", "no memory");
  ZSTD_CCtx_setParameter(stream.get(), ZSTD_c_compressionLevel, kLevel);
  ZSTD_CCtx_setParameter(stream.get(), ZSTD_c_checksumFlag, 1);
  std::vector<char> block(kBlockBytes);
  std::vector<char> out(ZSTD_CStreamOutSize());
  for (;;) {
    const ssize_t n = ::read(source, block.data(), block.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return fail_system("read");
    const bool last = n == 0;
    const Result<void> done = compress_block(stream.get(), out, block, static_cast<size_t>(n), last, target);
    if (!done || last) return done;
  }
}

Result<void> write_packed(const Descriptor& source, const std::string& path) {
  ::unlink(path.c_str());
  const Descriptor target(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0640));
  struct stat about{};
  if (!target || ::fstat(source.get(), &about) != 0) return fail_system("open");
  if (Result<void> done = compress(source.get(), target.get()); !done) return done;
  const timespec times[] = {about.st_atim, about.st_mtim};
  ::futimens(target.get(), times);
  if (::fsync(target.get()) != 0) return fail_system("fsync");
  return {};
}

class ZstdReader final : public LogReader {
 public:
  explicit ZstdReader(Descriptor file)
      : file_(std::move(file)), stream_(ZSTD_createDStream()), block_(kBlockBytes), out_(kBlockBytes) {}

 protected:
  bool read(std::string& into) override {
    // A full block of output: there may be more of it without further input.
    if (!more_ && input_.pos == input_.size && !refill()) return false;
    ZSTD_outBuffer output{.dst = out_.data(), .size = out_.size(), .pos = 0};
    if (ZSTD_isError(ZSTD_decompressStream(stream_.get(), &output, &input_)) != 0) return false;
    more_ = output.pos == output.size;
    into.append(out_.data(), output.pos);
    return true;
  }

 private:
  bool refill() {
    const ssize_t n = ::read(file_.get(), block_.data(), block_.size());
    input_ = {.src = block_.data(), .size = n > 0 ? static_cast<size_t>(n) : 0, .pos = 0};
    return n > 0;
  }

  Descriptor file_;
  std::unique_ptr<ZSTD_DStream, FreeDecompression> stream_;
  std::vector<char> block_;
  std::vector<char> out_;
  ZSTD_inBuffer input_{};
  bool more_ = false;
};

// gzread(3) reads plain files too.
class GzipReader final : public LogReader {
 public:
  explicit GzipReader(gzFile file) : file_(file), block_(kBlockBytes) {}

 protected:
  bool read(std::string& into) override {
    const int n = gzread(file_.get(), block_.data(), static_cast<unsigned>(block_.size()));
    if (n <= 0) return false;
    into.append(block_.data(), static_cast<size_t>(n));
    return true;
  }

 private:
  std::unique_ptr<gzFile_s, CloseGzip> file_;
  std::vector<char> block_;
};

}  // namespace

Result<void> pack_log(const std::string& path) {
  const Descriptor source(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
  if (!source) return fail_system("open");
  if (::flock(source.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno == EWOULDBLOCK) return fail(Code::kUnavailable, "flock", "it is written");
    return fail_system("flock");
  }
  const std::string packed = path + std::string(kPackedSuffix);
  const std::string unfinished = path + std::string(kUnfinishedSuffix);
  Result<void> done = write_packed(source, unfinished);
  if (done && ::rename(unfinished.c_str(), packed.c_str()) != 0) done = fail_system("rename");
  ::unlink(done ? path.c_str() : unfinished.c_str());
  return done;
}

Result<std::unique_ptr<LogReader>> LogReader::open(const std::string& path) {
  Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file) return fail_system("open");
  if (path.ends_with(kPackedSuffix)) return std::make_unique<ZstdReader>(std::move(file));
  const gzFile gzip = gzdopen(file.get(), "rb");
  if (gzip == nullptr) return fail(Code::kLimit, "gzdopen", "no memory");
  (void)file.release();
  return std::make_unique<GzipReader>(gzip);
}

bool LogReader::next(std::string& line) {
  for (;;) {
    const size_t end = pending_.find('\n', begin_);
    if (end != std::string::npos) {
      line.assign(pending_, begin_, end - begin_);
      begin_ = end + 1;
      return true;
    }
    const size_t rest = pending_.size() - begin_;
    if (rest >= kLineBytesMax || (ended_ && rest > 0)) {
      line.assign(pending_, begin_);
      pending_.clear();
      begin_ = 0;
      return true;
    }
    if (ended_) return false;
    pending_.erase(0, begin_);
    begin_ = 0;
    ended_ = !read(pending_);
  }
}

}  // namespace terrace::program
