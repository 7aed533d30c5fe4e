#include "database/zstd_file.h"

#include <fcntl.h>
#include <unistd.h>
#include <zstd.h>

#include <cerrno>
#include <memory>
#include <vector>

#include "base/descriptor.h"

namespace terrace::database {
namespace {

constexpr int kLevel = 3;  // zstd's own default: speed of a disk, most of the gain
constexpr size_t kBlockBytes = 256 << 10;

struct Free {
  void operator()(ZSTD_CCtx* context) const { ZSTD_freeCCtx(context); }
  void operator()(ZSTD_DCtx* context) const { ZSTD_freeDCtx(context); }
};

Result<size_t> read_block(int file, std::vector<char>& block) {
  for (;;) {
    const ssize_t n = ::read(file, block.data(), block.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return fail_system("read");
    return static_cast<size_t>(n);
  }
}

Result<void> write_block(int file, const char* bytes, size_t size) {
  while (size > 0) {
    const ssize_t n = ::write(file, bytes, size);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return fail_system("write");
    bytes += n;
    size -= static_cast<size_t>(n);
  }
  return {};
}

// The file that is written; gone again unless it was finished.
class Written {
 public:
  explicit Written(std::string path)
      : path_(std::move(path)),
        file_(::open(path_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600)) {}
  ~Written() {
    if (file_) ::unlink(path_.c_str());
  }
  Written(const Written&) = delete;
  Written& operator=(const Written&) = delete;

  explicit operator bool() const { return static_cast<bool>(file_); }
  Result<void> add(const std::vector<char>& block, size_t size) {
    bytes_ += static_cast<int64_t>(size);
    return write_block(file_.get(), block.data(), size);
  }
  int64_t bytes() const { return bytes_; }
  Result<int64_t> finish() {
    if (::fsync(file_.get()) != 0) return fail_system("fsync");
    file_.reset();
    return bytes_;
  }

 private:
  std::string path_;
  Descriptor file_;
  int64_t bytes_ = 0;
};

// All that zstd has to say about one block of input.
Result<void> compress_block(ZSTD_CCtx* zstd, ZSTD_inBuffer input, bool last, std::vector<char>& block,
                            Written& written) {
  for (bool done = false; !done;) {
    ZSTD_outBuffer output{block.data(), block.size(), 0};
    const size_t left = ZSTD_compressStream2(zstd, &output, &input, last ? ZSTD_e_end : ZSTD_e_continue);
    if (ZSTD_isError(left) != 0) return fail(Code::kInvalid, "zstd", ZSTD_getErrorName(left));
    if (Result<void> added = written.add(block, output.pos); !added) return added;
    done = last ? left == 0 : input.pos == input.size;
  }
  return {};
}

Result<size_t> decompress_block(ZSTD_DCtx* zstd, ZSTD_inBuffer input, int64_t bytes_max,
                                std::vector<char>& block, Written& written) {
  size_t expects = 1;
  bool full = false;
  while (input.pos < input.size || full) {
    ZSTD_outBuffer output{block.data(), block.size(), 0};
    expects = ZSTD_decompressStream(zstd, &output, &input);
    if (ZSTD_isError(expects) != 0) return fail(Code::kInvalid, "zstd", ZSTD_getErrorName(expects));
    if (const Result<void> added = written.add(block, output.pos); !added)
      return std::unexpected(added.error());
    if (written.bytes() > bytes_max) return fail(Code::kLimit, "zstd", "larger than it says");
    // At the end of a frame nothing more can be waiting inside.
    full = output.pos == output.size && expects != 0;
  }
  return expects;
}

}  // namespace

Result<int64_t> compress_file(const std::string& from, const std::string& to) {
  const Descriptor source(::open(from.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
  if (!source) return fail_system("open");
  Written written(to);
  if (!written) return fail_system("open");
  const std::unique_ptr<ZSTD_CCtx, Free> zstd(ZSTD_createCCtx());
  ZSTD_CCtx_setParameter(zstd.get(), ZSTD_c_compressionLevel, kLevel);
  ZSTD_CCtx_setParameter(zstd.get(), ZSTD_c_checksumFlag, 1);
  std::vector<char> input(kBlockBytes);
  std::vector<char> output(kBlockBytes);
  for (bool last = false; !last;) {
    const Result<size_t> size = read_block(source.get(), input);
    if (!size) return std::unexpected(size.error());
    last = *size == 0;
    const Result<void> done = compress_block(zstd.get(), {input.data(), *size, 0}, last, output, written);
    if (!done) return std::unexpected(done.error());
  }
  return written.finish();
}

Result<int64_t> decompress_file(const std::string& from, const std::string& to, int64_t bytes_max) {
  const Descriptor source(::open(from.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
  if (!source) return fail_system("open");
  Written written(to);
  if (!written) return fail_system("open");
  const std::unique_ptr<ZSTD_DCtx, Free> zstd(ZSTD_createDCtx());
  std::vector<char> input(kBlockBytes);
  std::vector<char> output(kBlockBytes);
  size_t expects = 1;  // 0: exactly at the end of a frame
  for (;;) {
    const Result<size_t> size = read_block(source.get(), input);
    if (!size) return std::unexpected(size.error());
    if (*size == 0) break;
    const Result<size_t> left =
        decompress_block(zstd.get(), {input.data(), *size, 0}, bytes_max, output, written);
    if (!left) return std::unexpected(left.error());
    expects = *left;
  }
  if (expects != 0) return fail(Code::kInvalid, "zstd", "the file is cut short");
  return written.finish();
}

}  // namespace terrace::database
