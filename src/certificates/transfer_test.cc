#include <fcntl.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/mman.h>
#include <unistd.h>

#include <vector>

#include "base/file.h"
#include "certificates/handshake_fixture.h"

namespace terrace::certificates {
namespace {

using namespace std::chrono_literals;
using Side = net::TlsContext::Side;

// Bytes over TLS through sockets so small that records are taken in parts.
class TransferTest : public testing::Test {
 protected:
  static constexpr int kSmall = 4096;

  void start(int buffer_bytes) {
    const Authority authority = Authority::make("site-1", meeting_.clock.wall()).value();
    const Bundle bundle = Bundle::parse(authority.certificate_pem()).value();
    const auto verifier = Verifier::of_site(bundle, {}, meeting_.clock).value();
    const Holder web1 = holder_of(authority, {.server = "web1"}, meeting_.clock.wall());
    meeting_.connect(buffer_bytes);
    ASSERT_TRUE(meeting_.meet(context_of(Side::kServer, web1, verifier),
                              context_of(Side::kClient, web1, verifier), "web1"));
    ASSERT_TRUE(meeting_.server.shaken && meeting_.client.shaken);
  }

  std::string some_bytes(size_t count) {
    std::string bytes(count, '\0');
    for (char& byte : bytes) byte = static_cast<char>(random_.next());
    return bytes;
  }

  net::Stream& near() { return meeting_.client.stream; }
  net::Stream& far() { return meeting_.server.stream; }

  Meeting meeting_;
  Random random_{7};
};

// Reads until the end, in pieces of odd sizes.
Task<void> read_to_end(net::Stream& stream, Random& random, std::string& got, Result<void>& ended,
                       bool& done) {
  std::vector<char> piece(40000);
  for (;;) {
    const size_t size = 1 + random.below(piece.size());
    const Result<size_t> n = stream.read_now(std::span(piece).first(size));
    if (n && *n == 0) break;
    if (n) {
      got.append(piece.data(), *n);
      continue;
    }
    ended = std::unexpected(n.error());
    if (n.error().code != Code::kWouldBlock) break;
    ended = co_await stream.readable(stream.reactor().now() + 5s);
    if (!ended) break;
  }
  done = true;
}

enum class Way : uint8_t { kBytes, kParts, kFile };

// One call of one way with a piece of odd size from the front of what is left.
Result<size_t> write_some(net::Stream& stream, Random& random, Way way, std::string_view left, int file,
                          size_t at) {
  const std::string_view piece = left.substr(0, 1 + random.below(60000));
  if (way == Way::kBytes) return stream.write_now(piece, random.below(2) == 0);
  if (way == Way::kFile) {
    off_t offset = static_cast<off_t>(at);
    const Result<size_t> n = stream.send_file_now(file, offset, piece.size());
    EXPECT_EQ(static_cast<size_t>(offset), at + n.value_or(0));
    return n;
  }
  const size_t cut = random.below(piece.size() + 1);
  iovec parts[3] = {{.iov_base = const_cast<char*>(piece.data()), .iov_len = cut},
                    {.iov_base = nullptr, .iov_len = 0},
                    {.iov_base = const_cast<char*>(piece.data()) + cut, .iov_len = piece.size() - cut}};
  return stream.write_now(parts);
}

// Another way and another size at each call, also when the last one would have blocked.
Task<void> write_and_end(net::Stream& stream, Random& random, const std::string& all, int file, bool& done) {
  Result<void> waited;
  for (size_t at = 0; at < all.size() && waited;) {
    const Way way = static_cast<Way>(random.below(3));
    const Result<size_t> n = write_some(stream, random, way, std::string_view(all).substr(at), file, at);
    if (n) {
      at += *n;
    } else {
      EXPECT_EQ(n.error().code, Code::kWouldBlock) << describe(n.error());
      waited = co_await stream.writable(stream.reactor().now() + 5s);
    }
  }
  Result<void> ended = stream.shutdown_write();
  while (!ended && ended.error().code == Code::kWouldBlock && waited) {
    waited = co_await stream.writable(stream.reactor().now() + 5s);
    ended = stream.shutdown_write();
  }
  EXPECT_TRUE(ended && waited);
  done = true;
}

Task<void> write_whole(net::Stream& stream, std::string bytes, Result<void>& result, bool& done) {
  result = co_await stream.write_all(bytes, 5s);
  done = true;
}

TEST_F(TransferTest, CarriesBytesBothWaysWhateverTheSizes) {
  for (const int buffer_bytes : {kSmall, 0}) {
    meeting_.server.stream.close();
    meeting_.client.stream.close();
    meeting_.server.done = meeting_.client.done = false;
    start(buffer_bytes);
    const std::string there = some_bytes(700'000);
    const std::string back = some_bytes(300'000);
    const Descriptor file(::memfd_create("there", MFD_CLOEXEC));
    ASSERT_TRUE(write_all(file.get(), there));
    const Descriptor file_back(::memfd_create("back", MFD_CLOEXEC));
    ASSERT_TRUE(write_all(file_back.get(), back));
    std::string got_there;
    std::string got_back;
    Result<void> ended[2];
    bool done[4] = {};
    meeting_.scope.spawn(write_and_end(near(), random_, there, file.get(), done[0]));
    meeting_.scope.spawn(write_and_end(far(), random_, back, file_back.get(), done[1]));
    meeting_.scope.spawn(read_to_end(far(), random_, got_there, ended[0], done[2]));
    meeting_.scope.spawn(read_to_end(near(), random_, got_back, ended[1], done[3]));
    for (const bool& one : done) ASSERT_TRUE(meeting_.reactor->run_until(one, 20s));
    EXPECT_TRUE(got_there == there);
    EXPECT_TRUE(got_back == back);
  }
}

TEST_F(TransferTest, AReadOfAPartLeavesTheStreamReadable) {
  start(0);
  ASSERT_EQ(near().write_now("abcdef").value(), 6u);
  char bytes[3];
  ASSERT_EQ(meeting_.read(far(), bytes).value(), 3u);
  EXPECT_TRUE(far().maybe_readable());
  ASSERT_EQ(far().read_now(bytes).value(), 3u);
  EXPECT_EQ(std::string_view(bytes, 3), "def");
  EXPECT_EQ(far().read_now(bytes).error().code, Code::kWouldBlock);
  EXPECT_FALSE(far().maybe_readable());
}

TEST_F(TransferTest, AClosedStreamIsAnEnd) {
  start(0);
  ASSERT_EQ(near().write_now("bye").value(), 3u);
  near().close();
  char bytes[16];
  ASSERT_EQ(meeting_.read(far(), bytes).value(), 3u);
  EXPECT_EQ(meeting_.read(far(), bytes).value(), 0u);
  EXPECT_TRUE(far().peer_ended());
}

TEST_F(TransferTest, AStreamThatIsCutIsAnErrorAndNotAnEnd) {
  start(0);
  ASSERT_EQ(near().write_now("by").value(), 2u);
  ASSERT_EQ(::shutdown(near().descriptor(), SHUT_WR), 0);
  char bytes[16];
  ASSERT_EQ(meeting_.read(far(), bytes).value(), 2u);
  const Result<size_t> n = meeting_.read(far(), bytes);
  ASSERT_FALSE(n);
  EXPECT_EQ(n.error().code, Code::kClosed);
}

TEST_F(TransferTest, AnAbortIsAnErrorAndNotAnEnd) {
  start(0);
  near().abort();
  char bytes[16];
  const Result<size_t> n = meeting_.read(far(), bytes);
  ASSERT_FALSE(n);
  EXPECT_EQ(n.error().code, Code::kClosed);
}

TEST_F(TransferTest, AChangedByteOnTheWayIsAnError) {
  start(0);
  const std::string forged("\x17\x03\x03\x00\x20 thirty-two bytes of no record...", 5 + 32);
  ASSERT_EQ(::send(near().descriptor(), forged.data(), forged.size(), 0),
            static_cast<ssize_t>(forged.size()));
  char bytes[16];
  const Result<size_t> n = meeting_.read(far(), bytes);
  ASSERT_FALSE(n);
  EXPECT_EQ(n.error().code, Code::kInvalid);
  EXPECT_FALSE(far().write_now("more"));
}

TEST_F(TransferTest, ACancelledStreamWritesNoMore) {
  start(kSmall);
  Result<void> result;
  bool done = false;
  meeting_.scope.spawn(write_whole(near(), some_bytes(1'000'000), result, done));
  EXPECT_FALSE(done);
  near().cancel();
  ASSERT_TRUE(meeting_.reactor->run_until(done, 2s));
  EXPECT_EQ(result.error().code, Code::kCancelled);
}

TEST_F(TransferTest, APeerThatDoesNotReadMakesAWriterWaitAndKeepsLittleMemory) {
  start(kSmall);
  const std::string bytes = some_bytes(100'000);
  size_t taken = 0;
  for (;;) {
    const Result<size_t> n = near().write_now(std::string_view(bytes).substr(taken));
    if (!n) {
      EXPECT_EQ(n.error().code, Code::kWouldBlock);
      break;
    }
    taken += *n;
    ASSERT_LT(taken, bytes.size());
  }
  // The end waits its turn behind what was written.
  EXPECT_EQ(near().shutdown_write().error().code, Code::kWouldBlock);
}

}  // namespace
}  // namespace terrace::certificates
