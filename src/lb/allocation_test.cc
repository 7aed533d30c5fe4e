// The promise that choosing a backend allocates nothing per request, counted at operator
// new itself.

#include <gtest/gtest.h>

#include <cstdlib>
#include <new>

#include "lb/balancer.h"
#include "lb/limits.h"
#include "lb/retry.h"

namespace {
thread_local uint64_t allocations = 0;
}  // namespace

void* operator new(size_t bytes) {
  ++allocations;
  void* memory = std::malloc(bytes);
  if (memory == nullptr) std::abort();
  return memory;
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, size_t) noexcept { std::free(memory); }

namespace terrace::lb {
namespace {

TEST(Allocations, ARequestMakesNone) {
  VirtualClock clock;
  Random random(1);
  const std::vector<Standing> standings = {{.name = "a", .state = State::kUp},
                                           {.name = "b", .state = State::kUp, .weight = 3},
                                           {.name = "c", .state = State::kInDoubt}};
  RetryBudget budget({}, clock.now());
  ClientTable table(1, 8);
  ClientLimits limits(table);
  limits.set_options({.per_second = 1000, .burst = 10, .at_once = 100}, clock.now());
  for (const Algorithm algorithm :
       {Algorithm::kRoundRobin, Algorithm::kLeastConnections, Algorithm::kLeastLatency, Algorithm::kIpHash,
        Algorithm::kConsistentHash}) {
    Balancer balancer({.algorithm = algorithm}, random);
    balancer.update(standings, clock.now());
    const uint64_t before = allocations;
    for (uint64_t i = 0; i < 1000; ++i) {
      clock.advance(std::chrono::milliseconds(3));
      budget.request(clock.now());
      const ClientLimits::Admission client = limits.admit({}, clock.now());
      const auto place = balancer.take(random.next(), {}, clock.now());
      ASSERT_TRUE(place);
      const bool fails = i % 7 == 0;
      balancer.finish(*place,
                      {.kind = fails ? Balancer::Outcome::Kind::kBroken : Balancer::Outcome::Kind::kAnswered,
                       .status = 200,
                       .latency = std::chrono::milliseconds(i % 10)},
                      clock.now());
      if (fails) (void)budget.retry(clock.now());
      limits.leave(client.slot);
      balancer.tick(clock.now());
    }
    EXPECT_EQ(allocations, before);
  }
}

}  // namespace
}  // namespace terrace::lb
