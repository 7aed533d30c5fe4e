#include "reactor/timers.h"

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <vector>

#include "base/random.h"

namespace terrace {
namespace {

using namespace std::chrono_literals;

struct Counting final : Timer {
  int count = 0;
  void expired() override { ++count; }
};

class TimersTest : public testing::Test {
 protected:
  Time start_{1h};
  Timers timers_{start_};
};

TEST_F(TimersTest, ExpireOnceAndNeverEarly) {
  Counting timer;
  timers_.arm(timer, start_ + 100ms);
  timers_.advance(start_ + 99ms);
  EXPECT_EQ(timer.count, 0);
  timers_.advance(start_ + 100ms + Timers::kTick);
  EXPECT_EQ(timer.count, 1);
  timers_.advance(start_ + 10s);
  EXPECT_EQ(timer.count, 1);
}

TEST_F(TimersTest, MovedOutAreNotExpiredAtTheOldTime) {
  Counting timer;
  timers_.arm(timer, start_ + 100ms);
  timers_.arm(timer, start_ + 90s);
  timers_.advance(start_ + 80s);
  EXPECT_EQ(timer.count, 0);
  timers_.advance(start_ + 91s);
  EXPECT_EQ(timer.count, 1);
}

TEST_F(TimersTest, MovedInExpireAtTheNewTime) {
  Counting timer;
  timers_.arm(timer, start_ + 90s);
  timers_.arm(timer, start_ + 20ms);
  timers_.advance(start_ + 30ms);
  EXPECT_EQ(timer.count, 1);
}

TEST_F(TimersTest, DestroyedAreForgotten) {
  {
    Counting timer;
    timers_.arm(timer, start_ + 20ms);
  }
  timers_.advance(start_ + 1s);
  EXPECT_EQ(timers_.until_next(start_ + 1s, 5s), 5s);
}

struct Disarming final : Timer {
  Timer* other = nullptr;
  void expired() override { other->disarm(); }
};

TEST_F(TimersTest, MayDisarmAnotherOfTheSameTick) {
  Counting victims[2];
  Disarming killers[2];
  for (int i = 0; i < 2; ++i) {
    killers[i].other = &victims[i];
    timers_.arm(victims[i], start_ + 20ms);
    timers_.arm(killers[i], start_ + 20ms);
  }
  timers_.advance(start_ + 1s);
  EXPECT_EQ(victims[0].count + victims[1].count, 0) << "filed last, run first";
}

TEST_F(TimersTest, KeepEveryDeadlineUnderRandomMoves) {
  const uint64_t seed = random_seed();
  SCOPED_TRACE(seed);
  Random random(seed);
  std::vector<std::unique_ptr<Counting>> timers;
  std::vector<Time> due(200);
  for (int i = 0; i < 200; ++i) timers.push_back(std::make_unique<Counting>());
  Time now = start_;
  for (int step = 0; step < 5000; ++step) {
    const size_t i = random.below(timers.size());
    const Duration distance = std::chrono::milliseconds(1 + random.below(uint64_t{1} << random.below(25)));
    due[i] = now + distance;
    timers[i]->count = 0;
    timers_.arm(*timers[i], due[i]);
    now += std::chrono::milliseconds(random.below(300));
    timers_.advance(now);
    for (size_t k = 0; k < timers.size(); ++k) {
      if (due[k] == Time()) continue;
      if (now < due[k]) ASSERT_EQ(timers[k]->count, 0) << k;
      if (now > due[k] + 2 * Timers::kTick) ASSERT_EQ(timers[k]->count, 1) << k;
    }
  }
}

}  // namespace
}  // namespace terrace
