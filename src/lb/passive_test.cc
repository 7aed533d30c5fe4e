#include "lb/passive.h"

#include <gtest/gtest.h>

namespace terrace::lb {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

class PassiveTest : public testing::Test {
 protected:
  void answer(size_t backend, int status, Duration latency = milliseconds(5)) {
    passive_.answered(backend, status, latency, BackendSet::first(3));
  }
  void interval_with(Duration first, Duration others) {
    for (int i = 0; i < 20; ++i) {
      answer(0, 200, first);
      answer(1, 200, others);
      answer(2, 200, others);
    }
    clock_.advance(seconds(10));
    passive_.tick(clock_.now());
  }
  VirtualClock clock_;
  Passive passive_;
};

TEST_F(PassiveTest, FiveFailuresInARowAreTooManyAndAnAnswerEndsTheRow) {
  for (int i = 0; i < 4; ++i) passive_.failed(1);
  answer(1, 200);
  for (int i = 0; i < 4; ++i) passive_.failed(1);
  EXPECT_TRUE(passive_.take_verdicts().empty());
  passive_.failed(1);
  EXPECT_TRUE(passive_.take_verdicts().contains(1));
  EXPECT_EQ(passive_.verdict(1), Verdict::kFailures);
  EXPECT_TRUE(passive_.take_verdicts().empty());
}

TEST_F(PassiveTest, OneThatAnswers500IsToGoWhileTheOthersDoNot) {
  for (int i = 0; i < 5; ++i) {
    answer(0, 200);
    answer(1, 500);
    answer(2, 404);
  }
  EXPECT_TRUE(passive_.take_verdicts().contains(1));
  EXPECT_EQ(passive_.verdict(1), Verdict::kErrors);
}

TEST_F(PassiveTest, WhatAnswers500EverywhereIsTheApplication) {
  for (int i = 0; i < 100; ++i) {
    for (size_t backend : BackendSet::first(3)) answer(backend, 500);
  }
  EXPECT_TRUE(passive_.take_verdicts().empty());
}

TEST_F(PassiveTest, OneThatIsTenTimesSlowerForTwoIntervalsIsToGo) {
  passive_.tick(clock_.now());
  interval_with(milliseconds(600), milliseconds(20));
  EXPECT_TRUE(passive_.take_verdicts().empty());
  interval_with(milliseconds(600), milliseconds(20));
  EXPECT_TRUE(passive_.take_verdicts().contains(0));
  EXPECT_EQ(passive_.verdict(0), Verdict::kLatency);
}

TEST_F(PassiveTest, WhereNobodyIsToBeEjectedNothingIsTooBad) {
  passive_.set_options({.failures_row = 0, .errors_row = 0, .latency_factor = 0});
  for (int i = 0; i < 100; ++i) passive_.failed(0);
  for (int i = 0; i < 100; ++i) answer(1, 500);
  for (int i = 0; i < 3; ++i) interval_with(seconds(5), milliseconds(1));
  EXPECT_TRUE(passive_.take_verdicts().empty());
}

TEST_F(PassiveTest, NothingBelowTheFloorIsTooSlow) {
  passive_.tick(clock_.now());
  for (int i = 0; i < 5; ++i) interval_with(milliseconds(100), milliseconds(1));
  EXPECT_TRUE(passive_.take_verdicts().empty());
}

TEST_F(PassiveTest, WhereAllAreSlowNobodyIs) {
  passive_.tick(clock_.now());
  for (int i = 0; i < 5; ++i) interval_with(seconds(3), seconds(2));
  EXPECT_TRUE(passive_.take_verdicts().empty());
}

TEST_F(PassiveTest, AFewAnswersAreNotCompared) {
  passive_.tick(clock_.now());
  for (int i = 0; i < 3; ++i) {
    for (int k = 0; k < 19; ++k) answer(0, 200, seconds(3));
    for (int k = 0; k < 30; ++k) answer(1, 200);
    clock_.advance(seconds(10));
    passive_.tick(clock_.now());
  }
  EXPECT_TRUE(passive_.take_verdicts().empty());
}

}  // namespace
}  // namespace terrace::lb
