#include "health/check.h"

#include <gtest/gtest.h>
#include <sys/socket.h>

#include <string_view>

#include "net/listener.h"
#include "reactor/scope.h"

namespace terrace::health {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

Task<void> keep(Reactor& reactor, Check check, CheckResult& result, bool& done) {
  result = co_await carry_out(reactor, std::move(check));
  done = true;
}

class CheckTest : public testing::Test {
 protected:
  void SetUp() override {
    sockaddr_storage bound{};
    socklen_t length = sizeof bound;
    ::getsockname(listener_.get(), reinterpret_cast<sockaddr*>(&bound), &length);
    check_.probe = {.address = net::Address::from(bound, length),
                    .host = "localhost",
                    .path = "/up",
                    .limit = milliseconds(100)};
  }
  // What the check makes of a server that answers so; nothing: it stays silent.
  CheckResult against(std::string_view answer) {
    CheckResult result;
    bool done = false;
    scope_.spawn(keep(*reactor_, check_, result, done));
    if (!listener_) {
      EXPECT_TRUE(reactor_->run_until(done, seconds(5)));
      return result;
    }
    const Descriptor accepted(::accept(listener_.get(), nullptr, nullptr));
    EXPECT_EQ(::send(accepted.get(), answer.data(), answer.size(), 0), static_cast<ssize_t>(answer.size()));
    EXPECT_TRUE(reactor_->run_until(done, seconds(5)));
    return result;
  }

  Descriptor listener_ = *net::listen_on(*net::Address::parse("127.0.0.1:0"));
  SystemClock clock_;
  std::unique_ptr<Reactor> reactor_ = *Reactor::create(clock_, {});
  Check check_;
  Scope scope_;
};

TEST_F(CheckTest, AStatusInTheRangeIsASuccessAndTheReasonSaysWhich) {
  const CheckResult good = against("HTTP/1.1 302 Found\r\n\r\n");
  EXPECT_TRUE(good.success);
  EXPECT_EQ(good.reason, "answers 302");
  const CheckResult bad = against("HTTP/1.1 500 Oh\r\n\r\n");
  EXPECT_FALSE(bad.success);
  EXPECT_EQ(bad.reason, "answers 500");
}

TEST_F(CheckTest, TheRangeIsTheSites) {
  check_.status_min = check_.status_max = 401;
  EXPECT_TRUE(against("HTTP/1.1 401 Who\r\n\r\n").success);
  EXPECT_FALSE(against("HTTP/1.1 200 OK\r\n\r\n").success);
}

TEST_F(CheckTest, ATcpCheckIsContentWithAConnection) {
  check_.kind = Check::Kind::kTcp;
  EXPECT_TRUE(against("").success);
}

TEST_F(CheckTest, WhoRefusesOrStaysSilentHasFailedAndTheReasonSaysSo) {
  EXPECT_EQ(against("").reason, "no answer within 100 ms");
  listener_ = Descriptor();
  check_.kind = Check::Kind::kTcp;
  EXPECT_EQ(against("").reason, "connect: Connection refused");
}

}  // namespace
}  // namespace terrace::health
