#include "cluster/channel.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <unistd.h>

#include <functional>

#include "certificates/handshake_fixture.h"

namespace terrace::cluster {
namespace {

using certificates::Authority;
using certificates::Holder;
using certificates::Revocations;
using certificates::Verifier;
using std::chrono::hours;

constexpr std::string_view kAppOnly[] = {"app"};
constexpr Duration kSoon = std::chrono::seconds(5);

// Answers with what it was asked; "secret" only to app servers, "join" to everybody.
class Echo final : public Answerer {
 public:
  Task<void> answer(Channel& channel, Asker asker, std::string name, std::string) override {
    const Askers askers = name == "join" ? Askers{.strangers = true} : Askers{.roles = kAppOnly};
    const Listed listed = asker.identity ? Listed(asker.identity->roles) : std::nullopt;
    const auto reason = refusal(askers, asker, listed);
    asked.push_back(std::string(asker.name()) + " " + name + (reason ? " refused" : ""));
    std::string data;
    if (name == "data") {
      Result<std::string> all = co_await channel.receive_data(1 << 20, channel.reactor().now() + kSoon);
      data = all ? *all : "";
      const Result<void> sent = co_await channel.send_data(data);
      const Result<void> ended = co_await channel.send_end();
      EXPECT_TRUE(sent && ended);
    }
    if (name == "hang") {
      const Result<Frame> never = co_await channel.receive(channel.reactor().now() + kSoon);
      asked.emplace_back(never ? "more" : "ended");
      co_return;
    }
    const Result<void> sent = co_await channel.send_message(reason ? "refused" : "answered");
    EXPECT_TRUE(sent);
  }
  void met(const Hello& theirs, std::chrono::milliseconds) override { last = theirs.server; }

  std::vector<std::string> asked;
  std::string last;
};

// Lets in whom another one lets in, and then something else happens.
class Meanwhile final : public net::PeerVerifier {
 public:
  Meanwhile(std::shared_ptr<const net::PeerVerifier> verifier, std::function<void()> happens)
      : verifier_(std::move(verifier)), happens_(std::move(happens)) {}
  std::optional<net::TlsRefusal> verify(const net::PeerShown& shown) const override {
    const auto refusal = verifier_->verify(shown);
    happens_();
    return refusal;
  }

 private:
  std::shared_ptr<const net::PeerVerifier> verifier_;
  std::function<void()> happens_;
};

Task<void> count_frames(Channel& channel, size_t& count) {
  for (;;) {
    const Result<Frame> frame = co_await channel.receive(channel.reactor().now() + kSoon);
    if (!frame) co_return;
    ++count;
  }
}

struct Asked {
  std::string request;
  std::string data;
  Result<std::string> answer;
  std::string returned;
  bool done = false;
};

Task<void> ask(Reactor& reactor, Credentials credentials, net::Address address, std::string server,
               Asked& asked) {
  Call call(reactor);
  const Time deadline = reactor.now() + kSoon;
  const Result<void> opened = co_await call.open(credentials, server, address, deadline);
  asked.answer = opened ? Result<std::string>("") : std::unexpected(opened.error());
  if (opened) {
    const Result<void> sent = co_await call.channel().send_message(asked.request);
    if (!asked.data.empty()) {
      const Result<void> data = co_await call.channel().send_data(asked.data);
      const Result<void> ended = co_await call.channel().send_end();
      Result<std::string> back = co_await call.channel().receive_data(1 << 20, deadline);
      asked.returned = back ? *back : "";
      EXPECT_TRUE(data && ended);
    }
    asked.answer = co_await call.channel().receive_message(deadline);
    EXPECT_TRUE(sent);
  }
  asked.done = true;
}

class ChannelTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_EQ(::pipe2(log_pipe_, O_NONBLOCK), 0);
    log_ = std::make_unique<Log>("test", LogLevel::kDebug, log_pipe_[1]);
    server_ = std::make_unique<ChannelServer>(*reactor_, *log_, echo_);
    server_->use(credentials("web1", {"web"}));
    address_ = free_address();
    bool done = false;
    scope_.spawn(listen(done));
    ASSERT_TRUE(reactor_->run_until(done, kSoon));
  }
  // Not unwound, as in the program: the listener waits for good.
  void TearDown() override {
    // Where the sanitizer sees that it is no leak.
    static auto& left = *new std::vector<const void*>;
    left.insert(left.end(), {&scope_, server_.release(), reactor_.release()});
    ::close(log_pipe_[0]);
    ::close(log_pipe_[1]);
  }

  Task<void> listen(bool& done) {
    const Result<void> listening = co_await server_->listen(address_);
    EXPECT_TRUE(listening);
    done = true;
  }

  static net::Address free_address() {
    const Descriptor probe = net::listen_on(net::Address::loopback(0)).value();
    sockaddr_storage storage{};
    socklen_t length = sizeof storage;
    ::getsockname(probe.get(), reinterpret_cast<sockaddr*>(&storage), &length);
    return net::Address::from(storage, length);
  }

  std::shared_ptr<const net::PeerVerifier> verifier(const Authority& authority) {
    return Verifier::of_site(certificates::Bundle::parse(authority.certificate_pem()).value(), revocations_,
                             clock_)
        .value();
  }

  Credentials credentials(const std::string& name, std::vector<std::string> roles,
                          const Authority* authority = nullptr, Duration life = hours(72)) {
    const Authority& signer = authority != nullptr ? *authority : authority_;
    const Holder holder = holder_of(signer, {.server = name, .roles = std::move(roles)}, clock_.wall(), life);
    return {.listening = context_of(net::TlsContext::Side::kServer, holder, verifier(authority_), true),
            .asking = context_of(net::TlsContext::Side::kClient, holder, verifier(authority_)),
            .server = name,
            .program = "0"};
  }

  Asked& ask_as(const Credentials& credentials, std::string request, std::string data = "",
                std::string server = "web1") {
    asked_.push_back(std::make_unique<Asked>());
    Asked& asked = *asked_.back();
    asked.request = std::move(request);
    asked.data = std::move(data);
    scope_.spawn(ask(*reactor_, credentials, address_, std::move(server), asked));
    return asked;
  }

  Result<std::string> answer_to(const Credentials& credentials, std::string request,
                                std::string server = "web1") {
    Asked& asked = ask_as(credentials, std::move(request), "", std::move(server));
    EXPECT_TRUE(reactor_->run_until(asked.done, kSoon));
    return asked.answer;
  }

  // What the log says about refusals, once it says something.
  std::string logged() {
    bool done = false;
    scope_.spawn(wait_for_log(done));
    EXPECT_TRUE(reactor_->run_until(done, kSoon));
    char text[4096];
    const ssize_t n = ::read(log_pipe_[0], text, sizeof text);
    return {text, static_cast<size_t>(std::max<ssize_t>(n, 0))};
  }
  Task<void> wait_for_log(bool& done) {
    pollfd ready{.fd = log_pipe_[0], .events = POLLIN, .revents = 0};
    while (::poll(&ready, 1, 0) == 0) co_await sleep(*reactor_, Timers::kTick);
    done = true;
  }

  SystemClock real_;
  VirtualClock clock_;
  std::unique_ptr<Reactor> reactor_ = Reactor::create(real_, {}).value();
  Authority authority_ = Authority::make("0123456789abcdef", clock_.wall()).value();
  Revocations revocations_;
  Echo echo_;
  int log_pipe_[2] = {-1, -1};
  std::unique_ptr<Log> log_;
  std::unique_ptr<ChannelServer> server_;
  net::Address address_;
  Scope& scope_ = *new Scope;
  std::vector<std::unique_ptr<Asked>> asked_;
};

TEST_F(ChannelTest, AMemberAsksAndIsAnswered) {
  EXPECT_EQ(answer_to(credentials("web2", {"app", "web"}), R"({"request":"status"})").value(), "answered");
  EXPECT_EQ(echo_.asked, std::vector<std::string>{"web2 status"});
  EXPECT_EQ(echo_.last, "web2");
}

TEST_F(ChannelTest, WhoCannotListenAtANewAddressStaysWhereItWas) {
  const Descriptor other = net::listen_on(net::Address::loopback(0)).value();
  sockaddr_storage storage{};
  socklen_t length = sizeof storage;
  ASSERT_EQ(::getsockname(other.get(), reinterpret_cast<sockaddr*>(&storage), &length), 0);
  bool done = false;
  scope_.spawn([](ChannelServer& server, net::Address taken, bool& done) -> Task<void> {
    const Result<void> listening = co_await server.listen(taken);
    EXPECT_FALSE(listening);
    done = true;
  }(*server_, net::Address::from(storage, length), done));
  ASSERT_TRUE(reactor_->run_until(done, kSoon));
  EXPECT_EQ(answer_to(credentials("web2", {"app"}), R"({"request":"status"})").value_or("refused"),
            "answered");
}

TEST_F(ChannelTest, DataGoesBothWaysInFrames) {
  const std::string data(300'000, 'x');
  Asked& asked = ask_as(credentials("web2", {"app"}), R"({"request":"data"})", data);
  ASSERT_TRUE(reactor_->run_until(asked.done, kSoon));
  EXPECT_EQ(asked.returned, data);
  EXPECT_EQ(asked.answer.value(), "answered");
}

TEST_F(ChannelTest, TheWrongRoleIsRefused) {
  EXPECT_EQ(answer_to(credentials("db1", {"db"}), R"({"request":"secret"})").value(), "refused");
}

TEST_F(ChannelTest, WhoHasNoCertificateMayAskOnlyWhatIsForStrangers) {
  Credentials nobody = credentials("web9", {"app"});
  nobody.server.clear();
  nobody.asking = net::TlsContext::make({.side = net::TlsContext::Side::kClient,
                                         .certificates_pem = {},
                                         .key_pem = {},
                                         .verifier = verifier(authority_),
                                         .protocol = kChannelProtocol})
                      .value();
  EXPECT_EQ(answer_to(nobody, R"({"request":"join"})").value(), "answered");
  EXPECT_EQ(answer_to(nobody, R"({"request":"status"})").value(), "refused");
}

TEST_F(ChannelTest, AForeignAuthorityIsRefusedAndSaid) {
  const Authority other = Authority::make("0123456789abcdef", clock_.wall()).value();
  Credentials foreign = credentials("web2", {"app"}, &other);
  EXPECT_FALSE(answer_to(foreign, R"({"request":"status"})"));
  EXPECT_TRUE(echo_.asked.empty());
  const std::string line = logged();
  EXPECT_NE(line.find("refused at the control port"), std::string::npos) << line;
  EXPECT_NE(line.find("from=127.0.0.1"), std::string::npos) << line;
  EXPECT_NE(line.find("authority"), std::string::npos) << line;
}

TEST_F(ChannelTest, AnExpiredCertificateIsRefusedAndSaid) {
  const Credentials web2 = credentials("web2", {"app"}, nullptr, hours(72));
  clock_.advance(hours(73));
  server_->use(credentials("web1", {"web"}));
  EXPECT_FALSE(answer_to(web2, R"({"request":"status"})"));
  EXPECT_NE(logged().find("expired"), std::string::npos);
}

TEST_F(ChannelTest, ARevokedServerIsRefusedAndItsOpenConnectionsEnd) {
  const Credentials web2 = credentials("web2", {"app"});
  Asked& open = ask_as(web2, R"({"request":"hang"})");
  while (echo_.asked.empty()) {
    bool turned = false;
    scope_.spawn([](Reactor& reactor, bool& done) -> Task<void> {
      co_await sleep(reactor, Timers::kTick);
      done = true;
    }(*reactor_, turned));
    ASSERT_TRUE(reactor_->run_until(turned, kSoon));
  }
  revocations_.servers["web2"] = clock_.wall();
  server_->use(credentials("web1", {"web"}));
  const auto is_web2 = [](const certificates::Identity& identity) { return identity.server == "web2"; };
  EXPECT_EQ(server_->close_if(is_web2), 1U);
  ASSERT_TRUE(reactor_->run_until(open.done, kSoon));
  EXPECT_FALSE(open.answer);
  EXPECT_FALSE(answer_to(web2, R"({"request":"status"})"));
  EXPECT_NE(logged().find("revoked"), std::string::npos);
}

TEST_F(ChannelTest, AServerThatIsRevokedInTheMiddleOfItsHandshakeIsRefused) {
  const Credentials web2 = credentials("web2", {"app"});
  const auto revoke = [this] {
    revocations_.servers["web2"] = clock_.wall();
    server_->use(credentials("web1", {"web"}));
  };
  const Holder holder = holder_of(authority_, {.server = "web1", .roles = {"web"}}, clock_.wall());
  const auto before = std::make_shared<Meanwhile>(verifier(authority_), revoke);
  Credentials web1 = credentials("web1", {"web"});
  web1.listening = context_of(net::TlsContext::Side::kServer, holder, before, true);
  server_->use(web1);
  EXPECT_FALSE(answer_to(web2, R"({"request":"status"})"));
  EXPECT_TRUE(echo_.asked.empty());
  const std::string line = logged();
  EXPECT_NE(line.find("revoked"), std::string::npos) << line;
  EXPECT_NE(line.find("web2"), std::string::npos) << line;
}

TEST_F(ChannelTest, WhoTakesAllConnectionsAndSaysNothingKeepsNoMemberOut) {
  std::vector<Descriptor> idle;
  for (int host = 2; idle.size() < kConnectionsMax; ++host) {
    const net::Address from = net::Address::parse("127.0.0." + std::to_string(host) + ":0").value();
    for (size_t i = 0; i < kConnectionsOfOneMax; ++i) {
      idle.emplace_back(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
      ASSERT_EQ(::bind(idle.back().get(), from.get(), from.length()), 0);
      ASSERT_EQ(::connect(idle.back().get(), address_.get(), address_.length()), 0);
    }
  }
  bool waited = false;
  scope_.spawn([](ChannelServer& server, Reactor& reactor, bool& done) -> Task<void> {
    while (server.connections() < kConnectionsMax) co_await sleep(reactor, Timers::kTick);
    done = true;
  }(*server_, *reactor_, waited));
  ASSERT_TRUE(reactor_->run_until(waited, kSoon));
  EXPECT_EQ(answer_to(credentials("web2", {"app"}), R"({"request":"status"})").value_or("refused"),
            "answered");
}

TEST_F(ChannelTest, APeerWhoseFramesNeverEndLeavesOthersTheirTurn) {
  int ends[2];
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends), 0);
  const Descriptor theirs(ends[0]);
  net::Stream stream;
  ASSERT_TRUE(stream.open(*reactor_, Descriptor(ends[1])));
  Channel channel(stream);
  std::string flood;
  for (int i = 0; i < 10'000; ++i) flood += frame_bytes(FrameKind::kData, "");
  ASSERT_EQ(::send(theirs.get(), flood.data(), flood.size(), 0), static_cast<ssize_t>(flood.size()));
  size_t count = 0;
  Scope counting;
  counting.spawn(count_frames(channel, count));
  EXPECT_LT(count, 1000U);
  stream.cancel();
  bool ended = false;
  counting.spawn([](Channel& channel, size_t& count, bool& done) -> Task<void> {
    while (count < 10'000) co_await yield(channel.reactor());
    done = true;
  }(channel, count, ended));
  EXPECT_TRUE(reactor_->run_until(ended, kSoon));
  bool joined = false;
  scope_.spawn([](Scope& scope, bool& done) -> Task<void> {
    co_await scope.join();
    done = true;
  }(counting, joined));
  EXPECT_TRUE(reactor_->run_until(joined, kSoon));
}

TEST_F(ChannelTest, AnotherServerThanExpectedIsNotAsked) {
  EXPECT_FALSE(answer_to(credentials("web2", {"app"}), R"({"request":"status"})", "web7"));
  EXPECT_TRUE(echo_.asked.empty());
}

TEST_F(ChannelTest, WhatIsNotTlsGetsNothingAndIsSaid) {
  for (const std::string_view bytes :
       {std::string_view("GET / HTTP/1.1\r\n\r\n"), std::string_view("m\0\0\0\2{}", 7),
        std::string_view("\xff\xfe\xfd\0\0\0\0\0", 8)}) {
    const Descriptor socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    ASSERT_EQ(::connect(socket.get(), address_.get(), address_.length()), 0);
    ASSERT_EQ(::send(socket.get(), bytes.data(), bytes.size(), 0), static_cast<ssize_t>(bytes.size()));
    const std::string line = logged();
    EXPECT_NE(line.find("refused at the control port"), std::string::npos) << line;
    ::shutdown(socket.get(), SHUT_WR);
    char answer[64];
    // At most a TLS alert.
    EXPECT_LE(::recv(socket.get(), answer, sizeof answer, 0), 7);
  }
}

}  // namespace
}  // namespace terrace::cluster
