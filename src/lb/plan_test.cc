#include "lb/plan.h"

#include <gtest/gtest.h>

namespace terrace::lb {
namespace {

using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;

const topology::Pool kPool{.name = "",
                           .settings = {.balance = topology::Balance::kIpHash,
                                        .mode = topology::LbMode::kActivePassive,
                                        .returns = false,
                                        .check = "/up",
                                        .check_status = "204"},
                           .members = {{.name = "a", .address = "10.0.0.1:80", .weight = 3},
                                       {.name = "b", .address = "10.0.0.2:80", .weight = 0}}};

TEST(Plan, OfAPoolIsWhatTheFileSays) {
  const PoolPlan plan = pool_plan({}, kPool);
  ASSERT_EQ(plan.backends.size(), 2U);
  EXPECT_EQ(plan.backends[0].name, "a");
  EXPECT_EQ(plan.backends[0].weight, 3U);
  EXPECT_EQ(plan.mode, Mode::kActivePassive);
  EXPECT_FALSE(plan.returns);
  EXPECT_EQ(plan.ejected_max, 0.5);
  EXPECT_EQ(plan.ejection_max, minutes(5));
}

TEST(Plan, DividesTheLimitAmongTheCoresAndLeavesEachSomething) {
  topology::LbTable lb;
  lb.connections_max = 10;
  EXPECT_EQ(balancer_options(lb, kPool, {.number = 1, .count = 4}).in_flight_max, 3U);
  EXPECT_EQ(balancer_options(lb, kPool, {.number = 1, .count = 64}).in_flight_max, 1U);
  EXPECT_EQ(balancer_options(lb, kPool, {.number = 1, .count = 4}).algorithm, Algorithm::kIpHash);
}

TEST(Plan, OfAPoolSaysWhatItLooksAt) {
  topology::Pool pool = kPool;
  EXPECT_EQ(key_source(pool).kind, KeySource::Kind::kAddress);
  pool.settings.balance = topology::Balance::kConsistentHash;
  pool.settings.hash = "cookie:session";
  EXPECT_EQ(key_source(pool).kind, KeySource::Kind::kCookie);
  EXPECT_EQ(key_source(pool).name, "session");
  pool.settings.hash = "header:X-User";
  EXPECT_EQ(key_source(pool).kind, KeySource::Kind::kHeader);
  pool.settings.balance = topology::Balance::kRoundRobin;
  EXPECT_EQ(key_source(pool).kind, KeySource::Kind::kNothing);
}

TEST(Plan, OfLimitsTakesTheRateForTheBurst) {
  topology::LbTable lb;
  EXPECT_EQ(client_limits(lb).per_second, 0);
  lb.client_rate = 50;
  EXPECT_EQ(client_limits(lb).burst, 50U);
  lb.client_burst = 100;
  EXPECT_EQ(client_limits(lb).burst, 100U);
}

TEST(Plan, WithoutRetriesNoneAreFree) {
  topology::LbTable lb;
  EXPECT_GT(retry_options(lb).free_per_second, 0);
  lb.retries = 0;
  EXPECT_EQ(retry_options(lb).free_per_second, 0);
}

TEST(Plan, OfACheckLeavesTimeForAllOfThem) {
  const topology::LbTable lb;
  const health::CheckPlan plan = check_plan(lb);
  EXPECT_LE(plan.timeout + plan.interval_in_doubt, plan.interval);
  const Result<health::Check> check = check_of(lb, kPool, kPool.members[0], "shop.example.com");
  ASSERT_TRUE(check);
  EXPECT_EQ(check->probe.path, "/up");
  EXPECT_EQ(check->probe.limit, seconds(1));
  EXPECT_EQ(check->status_min, 204);
  EXPECT_EQ(check->status_max, 204);
}

TEST(Plan, OfATcpCheckAsksForNothing) {
  topology::Pool pool = kPool;
  pool.settings.check = "tcp";
  const Result<health::Check> check = check_of({}, pool, pool.members[0], "");
  ASSERT_TRUE(check);
  EXPECT_EQ(check->kind, health::Check::Kind::kTcp);
}

}  // namespace
}  // namespace terrace::lb
