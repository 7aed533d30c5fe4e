#include "cluster/linearizability.h"

#include <gtest/gtest.h>

#include "base/random.h"

namespace terrace::cluster {
namespace {

using Ending = Operation::Ending;

Operation read(uint64_t value, uint64_t called, uint64_t returned) {
  return {.kind = Operation::Kind::kRead, .value = value, .called = called, .returned = returned};
}
Operation write(uint64_t expected, uint64_t value, Ending ending, uint64_t called, uint64_t returned) {
  return {.kind = Operation::Kind::kWrite,
          .ending = ending,
          .value = value,
          .expected = expected,
          .called = called,
          .returned = returned};
}

TEST(Linearizability, OneAfterTheOther) {
  EXPECT_FALSE(violation({}));
  EXPECT_FALSE(violation({read(0, 1, 2), write(0, 5, Ending::kDone, 3, 4), read(5, 5, 6)}));
}

TEST(Linearizability, AReadOfWhatWasOverwrittenIsFound) {
  EXPECT_TRUE(violation({write(0, 5, Ending::kDone, 1, 2), write(5, 6, Ending::kDone, 3, 4), read(5, 5, 6)}));
  // While the write is still under way either is right.
  EXPECT_FALSE(
      violation({write(0, 5, Ending::kDone, 1, 2), write(5, 6, Ending::kDone, 3, 7), read(5, 5, 6)}));
  EXPECT_FALSE(
      violation({write(0, 5, Ending::kDone, 1, 2), write(5, 6, Ending::kDone, 3, 7), read(6, 5, 6)}));
}

TEST(Linearizability, TheNewAndThenTheOldIsFound) {
  EXPECT_TRUE(violation({write(0, 5, Ending::kDone, 1, 20), read(5, 2, 3), read(0, 4, 5)}));
  EXPECT_FALSE(violation({write(0, 5, Ending::kDone, 1, 20), read(0, 2, 3), read(5, 4, 5)}));
}

TEST(Linearizability, TwoWhoWonAgainstTheSameAreFound) {
  EXPECT_TRUE(violation({write(0, 5, Ending::kDone, 1, 10), write(0, 6, Ending::kDone, 2, 9)}));
  EXPECT_FALSE(violation({write(0, 5, Ending::kDone, 1, 10), write(0, 6, Ending::kRefused, 2, 9)}));
}

TEST(Linearizability, ARefusalWithoutAReasonIsFound) {
  EXPECT_TRUE(violation({write(0, 5, Ending::kDone, 1, 2), write(5, 6, Ending::kRefused, 3, 4)}));
}

TEST(Linearizability, AnAnsweredWriteThatWasLostIsFound) {
  EXPECT_TRUE(violation({write(0, 5, Ending::kDone, 1, 2), read(0, 3, 4)}));
}

TEST(Linearizability, AnUnknownOneMayHappenLaterOrNever) {
  const Operation unknown = write(0, 5, Ending::kUnknown, 1, 2);
  EXPECT_FALSE(violation({unknown, read(0, 3, 4)}));
  EXPECT_FALSE(violation({unknown, read(5, 3, 4)}));
  EXPECT_FALSE(violation({unknown, read(0, 3, 4), read(5, 5, 6)}));
  EXPECT_TRUE(violation({unknown, read(5, 3, 4), read(0, 5, 6)}));
  EXPECT_FALSE(violation({unknown, write(0, 6, Ending::kRefused, 3, 4)}));
}

// Random histories of a real register, which must pass; and the same with one answer
// changed to an older value, which must not.
TEST(Linearizability, HoldsForARegisterAndNotForOneThatForgets) {
  const uint64_t seed = random_seed();
  SCOPED_TRACE(seed);
  Random random(seed);
  int found = 0;
  for (int round = 0; round < 50; ++round) {
    std::vector<Operation> history;
    uint64_t now = 0;
    uint64_t value = 0;
    for (uint64_t i = 1; i <= 200; ++i) {
      // Each takes effect at `now`, and overlaps with its neighbours.
      now += 10;
      const uint64_t called = now - random.below(25) % now;
      const uint64_t returned = now + random.below(25);
      if (random.below(2) == 0) {
        history.push_back(read(value, called, returned));
      } else if (random.below(8) == 0) {
        const bool happens = random.below(2) == 0;
        history.push_back(write(value, i, Ending::kUnknown, called, returned));
        if (happens) value = i;
      } else {
        history.push_back(write(value, i, Ending::kDone, called, returned));
        value = i;
      }
    }
    ASSERT_FALSE(violation(history)) << round;
    for (size_t i = history.size() - 1; i > 0; --i) {
      if (history[i].kind != Operation::Kind::kRead || history[i].value < 50) continue;
      history[i].value -= 40;
      break;
    }
    if (violation(history)) ++found;
  }
  // Of a few the value was never written, or an unknown write explains it.
  EXPECT_GE(found, 45);
}

}  // namespace
}  // namespace terrace::cluster
