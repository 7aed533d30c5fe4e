#include "health/http_probe.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <string_view>
#include <thread>

#include "net/listener.h"
#include "reactor/scope.h"

namespace terrace::health {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

Task<void> keep(Reactor& reactor, HttpProbe request, Result<int>& status, bool& done) {
  status = co_await probe(reactor, std::move(request));
  done = true;
}

// What the probe makes of a server that answers each request with `answer`; an
// empty one never answers.
Result<int> probed(std::string_view answer) {
  const Descriptor socket = *net::listen_on(*net::Address::parse("127.0.0.1:0"));
  sockaddr_storage bound{};
  socklen_t length = sizeof bound;
  ::getsockname(socket.get(), reinterpret_cast<sockaddr*>(&bound), &length);
  SystemClock clock;
  const std::unique_ptr<Reactor> reactor = *Reactor::create(clock, {});
  Result<int> status = 0;
  bool done = false;
  Scope scope;
  scope.spawn(keep(*reactor,
                   {.address = net::Address::from(bound, length),
                    .host = "localhost",
                    .path = "/up",
                    .limit = milliseconds(200)},
                   status, done));
  // The connection waits in the queue: the probe's request fits into the socket.
  const Descriptor accepted(::accept(socket.get(), nullptr, nullptr));
  EXPECT_EQ(::send(accepted.get(), answer.data(), answer.size(), 0), static_cast<ssize_t>(answer.size()));
  EXPECT_TRUE(reactor->run_until(done, seconds(5)));
  return status;
}

TEST(HttpProbe, GivesTheStatusOfTheAnswer) {
  EXPECT_EQ(probed("HTTP/1.1 204 No Content\r\n\r\n").value_or(0), 204);
  EXPECT_EQ(probed("HTTP/1.0 503 Busy\r\n\r\n").value_or(0), 503);
}

TEST(HttpProbe, RefusesWhatIsNotHttp) {
  EXPECT_EQ(probed("SSH-2.0-OpenSSH\r\n").error().code, Code::kInvalid);
  EXPECT_EQ(probed(std::string(8192, 'x')).error().code, Code::kInvalid);
}

TEST(HttpProbe, GivesUpAfterItsLimit) { EXPECT_EQ(probed("").error().code, Code::kTimeout); }

}  // namespace
}  // namespace terrace::health
