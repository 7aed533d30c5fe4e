#include "lb/tcp_proxy.h"

#include <gtest/gtest.h>

#include <thread>

#include "http/live_test.h"

namespace terrace::lb {
namespace {

using namespace std::chrono_literals;
using http::FreePort;
using http::RawClient;

// Answers each connection with its name, says again what it gets, and ends when that ends.
class Echo final : public net::Acceptor {
 public:
  Echo(Reactor& reactor, std::string name) : reactor_(reactor), name_(std::move(name)) {}
  void accepted(Descriptor socket, const net::Peer&) override { scope.spawn(serve(std::move(socket))); }
  Scope scope;

 private:
  Task<void> serve(Descriptor socket) {
    net::Stream stream;
    if (!stream.open(reactor_, std::move(socket))) co_return;
    (void)co_await stream.write_all(name_, 1s);
    std::array<char, 4096> buffer;
    for (;;) {
      const Result<size_t> read = stream.read_now(buffer);
      if (read && *read == 0) break;
      if (!read && read.error().code != Code::kWouldBlock) break;
      if (!read) {
        const Result<void> ready = co_await stream.readable(reactor_.now() + 3s);
        if (!ready) break;
        continue;
      }
      const std::string_view piece(buffer.data(), *read);
      (void)co_await stream.write_all(piece, 1s);
    }
    (void)co_await stream.write_all("bye", 1s);
  }
  Reactor& reactor_;
  std::string name_;
};

// A proxy on a thread of its own, with two backends.
class TcpProxyTest : public testing::Test {
 protected:
  void start(TcpProxyOptions options = {}, bool proxy = false, uint32_t in_flight_max = 100) {
    dispatch_.set_options({.balancer = {.in_flight_max = in_flight_max}});
    proxy_.set_options(options);
    std::map<std::string, TcpTarget, std::less<>> targets;
    for (const auto& [name, port] : {std::pair("a", a_.port), std::pair("b", b_.port)})
      targets[name] = {.address = net::Address::loopback(port), .proxy = proxy};
    proxy_.set_targets(std::move(targets));
    EXPECT_TRUE(front_listener_.start());
    EXPECT_TRUE(a_listener_.start());
    thread_ = std::thread([this] { reactor_->run(); });
  }
  void update(std::vector<Standing> standings) {
    submit(*reactor_, [this, standings = std::move(standings)] { dispatch_.update(standings); });
  }
  void TearDown() override {
    submit(*reactor_, [this] { scope_.spawn(stop()); });
    thread_.join();
  }
  Task<void> stop() {
    co_await front_listener_.close();
    co_await a_listener_.close();
    co_await proxy_.drain(0s);
    co_await echo_.scope.join();
    reactor_->stop();
  }

  SystemClock clock_;
  Log log_{"test", LogLevel::kError};
  std::unique_ptr<Reactor> reactor_ = Reactor::create(clock_, {}).value();
  Dispatch dispatch_{*reactor_, {}};
  TcpProxy proxy_{*reactor_, dispatch_, {}, log_};
  FreePort front_;
  FreePort a_;
  FreePort b_;  // listens only when a test says so
  Echo echo_{*reactor_, "a:"};
  net::Listener front_listener_{*reactor_, std::move(front_.socket), proxy_, log_};
  net::Listener a_listener_{*reactor_, std::move(a_.socket), echo_, log_};
  Scope scope_;
  std::thread thread_;
};

const Standing kA{.name = "a", .state = State::kUp};
const Standing kB{.name = "b", .state = State::kUp};

TEST_F(TcpProxyTest, BytesGoBothWaysAndTheEndOfOneSideIsPassedOn) {
  start();
  update({kA});
  RawClient client(front_.port);
  client.send("hello ");
  client.send("there");
  client.end();
  EXPECT_EQ(client.read_all(), "a:hello therebye");
  EXPECT_EQ(proxy_.metrics().bytes_up.get(), 11U);
  EXPECT_EQ(proxy_.metrics().bytes_down.get(), 16U);
}

TEST_F(TcpProxyTest, MoreThanASocketHoldsArrivesWhole) {
  start();
  update({kA});
  RawClient client(front_.port);
  const std::string much(3'000'000, 'x');
  std::thread sender([&] {
    client.send(much);
    client.end();
  });
  const std::string answer = client.read_all();
  sender.join();
  EXPECT_EQ(answer.size(), much.size() + 5);
}

TEST_F(TcpProxyTest, OneThatRefusesCostsNoConnection) {
  b_.socket = {};
  start();
  update({kB, kA});
  for (int i = 0; i < 5; ++i) {
    RawClient client(front_.port);
    client.end();
    EXPECT_EQ(client.read_all(), "a:bye");
  }
}

TEST_F(TcpProxyTest, WithoutABackendAConnectionEndsAtTheLimitOfTheQueue) {
  start({.queue_timeout = 30ms});
  RawClient client(front_.port);
  EXPECT_EQ(client.read_all(), "");
  EXPECT_EQ(proxy_.metrics().unserved.get(), 1U);
}

TEST_F(TcpProxyTest, AConnectionWaitsForItsTurn) {
  start({}, false, 1);
  update({kA});
  RawClient first(front_.port);
  first.send("1");
  EXPECT_EQ(first.read_until("1"), "a:1");
  RawClient second(front_.port);
  second.end();
  first.end();
  EXPECT_EQ(second.read_all(), "a:bye");
}

TEST_F(TcpProxyTest, TheBackendIsToldWhoTheClientIs) {
  start({}, true);
  update({kA});
  RawClient client(front_.port);
  client.send("x");
  client.end();
  const std::string answer = client.read_all();
  const auto header = net::parse_proxy_header(std::string_view(answer).substr(2));
  ASSERT_TRUE(header);
  EXPECT_TRUE(header->header.source.ip.is_loopback());
  EXPECT_EQ(header->header.destination.port, front_.port);
  EXPECT_EQ(answer.substr(2 + header->bytes), "xbye");
}

TEST_F(TcpProxyTest, AProxyInFrontMustSayForWhomItSpeaks) {
  start({.header_timeout = 50ms, .proxy_from = {*net::Network::parse("127.0.0.0/8")}}, true);
  update({kA});
  RawClient without(front_.port);
  without.send("hello, this is no header");
  EXPECT_EQ(without.read_all(), "");
  RawClient silent(front_.port);
  EXPECT_EQ(silent.read_all(), "");
  RawClient with(front_.port);
  std::array<char, net::kProxyHeaderWrittenBytesMax> buffer;
  const net::ProxyHeader said{.source = {.ip = *net::Ip::parse("192.0.2.7"), .port = 1234},
                              .destination = {.ip = *net::Ip::parse("192.0.2.8"), .port = 80}};
  with.send({buffer.data(), net::write_proxy_header(said, buffer)});
  with.send("x");
  with.end();
  const std::string answer = with.read_all();
  const auto header = net::parse_proxy_header(std::string_view(answer).substr(2));
  ASSERT_TRUE(header);
  EXPECT_EQ(header->header.source.ip, said.source.ip);
  EXPECT_EQ(answer.substr(2 + header->bytes), "xbye");
}

TEST_F(TcpProxyTest, BeyondTheLimitConnectionsAreClosed) {
  start({.connections_max = 1});
  update({kA});
  RawClient first(front_.port);
  EXPECT_EQ(first.read_until(":"), "a:");
  RawClient second(front_.port);
  EXPECT_EQ(second.read_all(), "");
}

TEST_F(TcpProxyTest, SilenceOnBothSidesEndsIt) {
  start({.idle_max = 50ms});
  update({kA});
  RawClient client(front_.port);
  EXPECT_EQ(client.read_all(), "a:");
}

}  // namespace
}  // namespace terrace::lb
