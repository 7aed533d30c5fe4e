// How a relay ends: backends that fail, clients that leave, tunnels.

#include "http/relay_front_test.h"

namespace terrace::http {
namespace {

using namespace std::chrono_literals;

constexpr std::string_view kUpgrade =
    "GET /ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";

template <class Kind>
class RelayEndTest : public RelayTest<Kind> {};
using Kinds = testing::Types<OverHttp1, OverHttp2>;
TYPED_TEST_SUITE(RelayEndTest, Kinds);

// ---- backends that fail

TYPED_TEST(RelayEndTest, NothingIsLostByABackendThatDiesBeforeItsAnswerIsWhole) {
  using Script = typename TestFixture::Script;
  const Script scripts[] = {
      [](auto& backend) { EXPECT_TRUE(backend.take_head()); },
      [](auto& backend) {
        EXPECT_TRUE(backend.take_head());
        backend.die_hard();
      },
      [](auto& backend) {
        EXPECT_TRUE(backend.take_head());
        backend.half_head();
      },
      [](auto& backend) {
        EXPECT_TRUE(backend.take_head());
        backend.informational(103);
      },
      [](auto& backend) {
        EXPECT_TRUE(backend.take_head());
        backend.head(200, 5);
      },
      [](auto& backend) {
        EXPECT_TRUE(backend.take_head());
        backend.head(200, 5);
        backend.data("hell");
      },
  };
  for (const Script& script : scripts) {
    const Ended ended = this->end_of(kGet, script);
    EXPECT_EQ(ended.end, RelayEnd::kBroken);
    EXPECT_NE(ended.code, Code::kInvalid);
    EXPECT_TRUE(ended.repeatable);
    EXPECT_FALSE(ended.begun);
    EXPECT_TRUE(this->answer_.ends_with("of the front")) << this->answer_;
  }
}

TYPED_TEST(RelayEndTest, AnAnswerThatWasBegunAndIsCutShortIsBrokenOff) {
  this->start([this](auto& backend) {
    EXPECT_TRUE(backend.take_head());
    backend.head(200, std::nullopt);
    backend.data("hello");
    this->go_.acquire();
  });
  RawClient client(this->server_->port);
  client.send(kGet);
  client.read_until("hello\r\n");
  this->go_.release();
  EXPECT_EQ(client.read_all(), "") << "no last chunk";
  const Ended ended = this->ended();
  EXPECT_EQ(ended.end, RelayEnd::kBroken);
  EXPECT_EQ(ended.code, Code::kClosed);
  EXPECT_TRUE(ended.begun);
  EXPECT_FALSE(ended.repeatable);
}

TYPED_TEST(RelayEndTest, ARequestWhoseBodyIsGoneIsNotRepeatable) {
  for (const std::string_view method : {"POST", "PUT"}) {
    const std::string request =
        std::string(method) + " / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc";
    const Ended ended = this->end_of(request, [](auto& backend) { EXPECT_TRUE(backend.take_end()); });
    EXPECT_EQ(ended.end, RelayEnd::kBroken);
    EXPECT_TRUE(ended.body_taken);
    EXPECT_FALSE(ended.repeatable);
  }
}

TYPED_TEST(RelayEndTest, WhatIsNotHttpIsInvalid) {
  Ended ended = this->end_of(kGet, [](auto& backend) {
    EXPECT_TRUE(backend.take_head());
    backend.nonsense();
    backend.is_given_up();
  });
  EXPECT_EQ(ended.end, RelayEnd::kBroken);
  EXPECT_EQ(ended.code, Code::kInvalid);
  ended = this->end_of(kGet, [](auto& backend) {
    EXPECT_TRUE(backend.take_head());
    backend.head_alone(200, {{"Content-Length", "2"}, {"Content-Length", "3"}});
    backend.is_given_up();
  });
  EXPECT_EQ(ended.end, RelayEnd::kBroken);
  EXPECT_EQ(ended.code, Code::kInvalid);
  EXPECT_FALSE(ended.begun);
}

TYPED_TEST(RelayEndTest, SilenceIsATimeout) {
  RelayOptions options = this->patient();
  options.response_timeout = 50ms;
  for (const bool begins : {false, true}) {
    const Ended ended = this->end_of(
        kGet,
        [&](auto& backend) {
          EXPECT_TRUE(backend.take_head());
          if (begins) backend.head(200, 5);
          EXPECT_TRUE(backend.is_given_up());
        },
        options);
    EXPECT_EQ(ended.end, RelayEnd::kBroken);
    EXPECT_EQ(ended.code, Code::kTimeout);
    EXPECT_FALSE(ended.begun);
  }
}

// ---- clients that leave

TYPED_TEST(RelayEndTest, ABackendIsToldOfAClientThatLeftInTheMiddleOfItsAnswer) {
  this->start([this](auto& backend) {
    EXPECT_TRUE(backend.take_head());
    backend.head(200, std::nullopt);
    backend.data("hello");
    this->go_.acquire();
    EXPECT_TRUE(backend.talks_until_given_up());
  });
  {
    RawClient client(this->server_->port);
    client.send(kGet);
    client.read_until("hello");
    const linger reset{.l_onoff = 1, .l_linger = 0};
    ::setsockopt(client.descriptor(), SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
  }
  this->go_.release();
  const Ended ended = this->ended();
  EXPECT_EQ(ended.end, RelayEnd::kClientGone);
  EXPECT_EQ(ended.code, Code::kClosed);
  EXPECT_TRUE(ended.begun);
}

TYPED_TEST(RelayEndTest, ABackendIsToldOfAClientThatResetItsConnectionBeforeTheAnswer) {
  this->start([this](auto& backend) {
    EXPECT_TRUE(backend.take_head());
    this->go_.release();
    EXPECT_TRUE(backend.is_given_up());
  });
  {
    RawClient client(this->server_->port);
    client.send(kGet);
    this->go_.acquire();
    const linger reset{.l_onoff = 1, .l_linger = 0};
    ::setsockopt(client.descriptor(), SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
  }
  const Ended ended = this->ended();
  EXPECT_EQ(ended.end, RelayEnd::kClientGone);
  EXPECT_EQ(ended.code, Code::kCancelled);
  EXPECT_FALSE(ended.begun);
}

TYPED_TEST(RelayEndTest, WhoIsGivenUpAtTheLimitOfADrainGivesTheRequestUp) {
  this->start([this](auto& backend) {
    EXPECT_TRUE(backend.take_head());
    this->go_.release();
    EXPECT_TRUE(backend.is_given_up());
  });
  RawClient client(this->server_->port);
  client.send(kGet);
  this->go_.acquire();
  this->server_.reset();
  const Ended ended = this->ended();
  EXPECT_EQ(ended.end, RelayEnd::kClientGone);
  EXPECT_EQ(ended.code, Code::kCancelled);
}

// ---- tunnels

TYPED_TEST(RelayEndTest, CarriesATunnelBothWaysAndEachEndOfIt) {
  this->start([](auto& backend) {
    EXPECT_TRUE(backend.take_head());
    backend.open_tunnel();
    EXPECT_TRUE(backend.take("ping"));
    backend.tunnel_data("pong");
    EXPECT_TRUE(backend.take_tunnel_end());
    backend.tunnel_data("bye");
    backend.end_tunnel();
  });
  RawClient client(this->server_->port);
  client.send(kUpgrade);
  const std::string head = client.read_until("\r\n\r\n");
  EXPECT_TRUE(head.starts_with("HTTP/1.1 101 ")) << head;
  EXPECT_NE(head.find("Upgrade: websocket\r\n"), std::string::npos) << head;
  client.send("ping");
  EXPECT_EQ(client.read_until("pong"), "pong");
  EXPECT_EQ(this->report_.tunnels.get(), 1);
  client.end();
  EXPECT_EQ(client.read_all(), "bye");
  EXPECT_EQ(this->ended().end, RelayEnd::kDone);
  EXPECT_EQ(this->report_.tunnels.get(), 0);
}

TYPED_TEST(RelayEndTest, ATunnelThatNobodyUsesEnds) {
  RelayOptions options = this->patient();
  options.tunnel_idle_max = 50ms;
  ServerLimits limits;
  limits.tunnel_idle_max = 50ms;
  this->start(
      [](auto& backend) {
        EXPECT_TRUE(backend.take_head());
        backend.open_tunnel();
        EXPECT_TRUE(backend.is_given_up());
      },
      options, limits);
  RawClient client(this->server_->port);
  client.send(kUpgrade);
  EXPECT_TRUE(client.read_until("\r\n\r\n").starts_with("HTTP/1.1 101 "));
  EXPECT_TRUE(client.at_end());
}

TYPED_TEST(RelayEndTest, ARefusedUpgradeIsAnAnswer) {
  const Ended ended = this->end_of(kUpgrade, [](auto& backend) {
    EXPECT_TRUE(backend.take_head());
    backend.head(403, 2);
    backend.data("no");
    backend.end();
  });
  EXPECT_EQ(ended.end, RelayEnd::kDone);
  EXPECT_TRUE(this->answer_.starts_with("HTTP/1.1 403 ")) << this->answer_;
  EXPECT_TRUE(this->answer_.ends_with("\r\n\r\nno")) << this->answer_;
}

}  // namespace
}  // namespace terrace::http
