#include "http/handshakes.h"

#include <gtest/gtest.h>

#include <deque>
#include <string>

namespace terrace::http {
namespace {

struct Comer final : Handshake {
  explicit Comer(const std::string& address, bool is_expected) {
    from = net::Ip::parse(address).value();
    expected = is_expected;
  }
  void crowd_out() override {}
};

class HandshakesTest : public testing::Test {
 protected:
  HandshakesTest() { handshakes_.set_limits({.total = 8, .of_one_address = 4}); }

  Comer& come(const std::string& address, bool expected = false) {
    Comer& one = comers_.emplace_back(address, expected);
    handshakes_.add(one);
    return one;
  }
  std::deque<Comer> comers_;
  Handshakes handshakes_;
};

TEST_F(HandshakesTest, NobodyIsCrowdedOutBelowTheLimit) {
  for (int i = 0; i < 4; ++i) come("10.0.0.1");
  for (int i = 0; i < 4; ++i) come("10.0.0.2");
  for (const Comer& one : comers_) EXPECT_FALSE(one.crowded_out);
}

TEST_F(HandshakesTest, TheOldestOfAnAddressMakesRoomForItsNext) {
  const Comer& other = come("10.0.0.1");
  const Comer& oldest = come("10.0.0.2");
  for (int i = 0; i < 4; ++i) come("10.0.0.2");
  EXPECT_TRUE(oldest.crowded_out);
  EXPECT_FALSE(other.crowded_out);
  EXPECT_EQ(handshakes_.size(), 5u);
}

TEST_F(HandshakesTest, TheOldestOfAllGoesWhenThereAreTooMany) {
  for (int i = 0; i < 8; ++i) come("10.0.0." + std::to_string(i));
  const Comer& newest = come("10.0.0.9");
  EXPECT_TRUE(comers_.front().crowded_out);
  EXPECT_FALSE(comers_[1].crowded_out);
  EXPECT_FALSE(newest.crowded_out);
  EXPECT_EQ(handshakes_.size(), 8u);
}

TEST_F(HandshakesTest, StrangersNeverCrowdOutWhoIsExpected) {
  const Comer& expected = come("10.0.0.1", true);
  for (int i = 0; i < 100; ++i) come("10.0.1." + std::to_string(i));
  EXPECT_FALSE(expected.crowded_out);
  const Comer& another = come("10.0.0.2", true);
  for (int i = 0; i < 100; ++i) come("10.0.1." + std::to_string(i));
  EXPECT_FALSE(another.crowded_out);
  EXPECT_EQ(handshakes_.size(), 8u);
}

TEST_F(HandshakesTest, WhereSomebodyIsExpectedFromMoreMayCome) {
  for (int i = 0; i < 8; ++i) come("10.0.0.1", true);
  for (const Comer& one : comers_) EXPECT_FALSE(one.crowded_out);
  come("10.0.0.1", true);
  EXPECT_TRUE(comers_.front().crowded_out);
}

TEST_F(HandshakesTest, WhoHasFinishedCountsNoMore) {
  for (int i = 0; i < 50; ++i) handshakes_.remove(come("10.0.0.1"));
  for (const Comer& one : comers_) EXPECT_FALSE(one.crowded_out);
  EXPECT_EQ(handshakes_.size(), 0u);
}

}  // namespace
}  // namespace terrace::http
