#include <gtest/gtest.h>

#include <atomic>
#include <thread>
#include <vector>

#include "certificates/handshake_fixture.h"

namespace terrace::certificates {
namespace {

using Side = net::TlsContext::Side;

// What all cores of a process share: never changed, published anew as a whole.
struct Contexts {
  std::shared_ptr<const net::TlsContext> server;
  std::shared_ptr<const net::TlsContext> client;
};

Contexts contexts_of(const Authority& authority, const Clock& clock) {
  const Bundle bundle = Bundle::parse(authority.certificate_pem()).value();
  const auto verifier = Verifier::of_site(bundle, {}, clock).value();
  const Holder web1 = holder_of(authority, {.server = "web1"}, clock.wall());
  return {.server = context_of(Side::kServer, web1, verifier),
          .client = context_of(Side::kClient, web1, verifier)};
}

// Connections of one core, one after the other, with what was current when each began.
void run_core(std::vector<Contexts> over_time, std::atomic<int>& good) {
  for (Contexts& now : over_time) {
    Meeting meeting;
    meeting.connect();
    if (!meeting.meet(std::exchange(now.server, nullptr), std::exchange(now.client, nullptr), "web1")) return;
    if (!meeting.server.shaken || !meeting.client.shaken) return;
    char bytes[8];
    if (!meeting.client.stream.write_now("ping") || meeting.read(meeting.server.stream, bytes) != 4uz) return;
    ++good;
  }
}

TEST(CoresTest, CoresShareContextsAndTheLastUserFreesThem) {
  constexpr int kCores = 4;
  constexpr int kRounds = 8;
  const VirtualClock clock;
  const Authority authority = Authority::make("site-1", clock.wall()).value();
  std::vector<Contexts> over_time;
  for (int i = 0; i < kRounds; ++i) over_time.push_back(contexts_of(authority, clock));
  std::atomic<int> good = 0;
  std::vector<std::thread> cores;
  for (int i = 0; i < kCores; ++i) cores.emplace_back(run_core, over_time, std::ref(good));
  over_time.clear();
  for (std::thread& core : cores) core.join();
  EXPECT_EQ(good, kCores * kRounds);
}

}  // namespace
}  // namespace terrace::certificates
