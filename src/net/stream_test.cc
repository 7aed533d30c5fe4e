#include "net/stream.h"

#include <gtest/gtest.h>

#include <optional>

#include "net/listener.h"

namespace terrace::net {
namespace {

using namespace std::chrono_literals;

// Accepts one connection and keeps its stream.
class Keeper final : public Acceptor {
 public:
  explicit Keeper(Reactor& reactor) : reactor_(reactor) {}
  void accepted(Descriptor socket, const Peer& from) override {
    EXPECT_TRUE(stream.open(reactor_, std::move(socket)));
    peer = from;
    done = true;
  }
  Stream stream;
  Peer peer;
  bool done = false;

 private:
  Reactor& reactor_;
};

Task<void> connect_to(Stream& stream, Reactor& reactor, Address address, std::optional<Error>& error,
                      bool& done) {
  const Result<void> connected = co_await stream.connect(reactor, address, reactor.now() + 1s);
  if (!connected) error = connected.error();
  done = true;
}

Task<void> wait_readable(Stream& stream, Duration limit, Result<void>& result, bool& done) {
  result = co_await stream.readable(stream.reactor().now() + limit);
  done = true;
}

Task<void> close_listener(Listener& listener, bool& done) {
  co_await listener.close();
  done = true;
}

class StreamTest : public testing::Test {
 protected:
  void connect() {
    Descriptor socket = listen_on(Address::loopback(0)).value();
    sockaddr_storage bound{};
    socklen_t length = sizeof bound;
    ASSERT_EQ(::getsockname(socket.get(), reinterpret_cast<sockaddr*>(&bound), &length), 0);
    Listener listener(*reactor_, std::move(socket), keeper_, log_);
    ASSERT_TRUE(listener.start());
    bool connected = false;
    std::optional<Error> error;
    scope_.spawn(connect_to(near_, *reactor_, Address::from(bound, length), error, connected));
    ASSERT_TRUE(reactor_->run_until(connected, 1s));
    ASSERT_FALSE(error) << describe(*error);
    ASSERT_TRUE(reactor_->run_until(keeper_.done, 1s));
    bool closed = false;
    scope_.spawn(close_listener(listener, closed));
    ASSERT_TRUE(reactor_->run_until(closed, 1s));
  }

  SystemClock clock_;
  Log log_{"test"};
  std::unique_ptr<Reactor> reactor_ = Reactor::create(clock_, {}).value();
  Keeper keeper_{*reactor_};
  Stream near_;
  Scope scope_;
  Result<void> result_;
  bool done_ = false;
};

TEST_F(StreamTest, CarriesBytesAndThenTheEnd) {
  connect();
  EXPECT_EQ(near_.write_now("hello").value(), 5u);
  ASSERT_TRUE(near_.shutdown_write());
  std::string got;
  for (;;) {
    done_ = false;
    scope_.spawn(wait_readable(keeper_.stream, 1s, result_, done_));
    ASSERT_TRUE(reactor_->run_until(done_, 1s));
    char bytes[64];
    const Result<size_t> n = keeper_.stream.read_now(bytes);
    if (!n) continue;
    if (*n == 0) break;
    got.append(bytes, *n);
  }
  EXPECT_EQ(got, "hello");
  EXPECT_TRUE(keeper_.peer.ip.is_loopback());
}

TEST_F(StreamTest, AWaitEndsAtItsDeadline) {
  connect();
  char bytes[64];
  EXPECT_EQ(near_.read_now(bytes).error().code, Code::kWouldBlock);
  scope_.spawn(wait_readable(near_, 20ms, result_, done_));
  ASSERT_TRUE(reactor_->run_until(done_, 1s));
  EXPECT_EQ(result_.error().code, Code::kTimeout);
}

TEST_F(StreamTest, CancelEndsAWait) {
  connect();
  char bytes[64];
  EXPECT_EQ(near_.read_now(bytes).error().code, Code::kWouldBlock);
  scope_.spawn(wait_readable(near_, 10s, result_, done_));
  near_.cancel();
  ASSERT_TRUE(reactor_->run_until(done_, 1s));
  EXPECT_EQ(result_.error().code, Code::kCancelled);
}

TEST_F(StreamTest, ConnectingToNobodyIsAnOrdinaryError) {
  std::optional<Error> error;
  Descriptor bound = listen_on(Address::loopback(0)).value();
  sockaddr_storage address{};
  socklen_t length = sizeof address;
  ::getsockname(bound.get(), reinterpret_cast<sockaddr*>(&address), &length);
  bound.reset();
  scope_.spawn(connect_to(near_, *reactor_, Address::from(address, length), error, done_));
  ASSERT_TRUE(reactor_->run_until(done_, 1s));
  ASSERT_TRUE(error);
  EXPECT_EQ(error->system, ECONNREFUSED);
}

TEST_F(StreamTest, AnAbortIsSeenAsAnErrorAndNotAsAnEnd) {
  connect();
  keeper_.stream.abort();
  scope_.spawn(wait_readable(near_, 1s, result_, done_));
  ASSERT_TRUE(reactor_->run_until(done_, 1s));
  char bytes[64];
  const Result<size_t> n = near_.read_now(bytes);
  ASSERT_FALSE(n);
  EXPECT_EQ(n.error().code, Code::kClosed);
}

}  // namespace
}  // namespace terrace::net
