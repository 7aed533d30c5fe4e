#include "config/suggest.h"

#include <gtest/gtest.h>

#include <array>

namespace terrace::config {
namespace {

const std::array<std::string, 5> kKnown{"run", "roles", "health", "health_interval", "domain"};

TEST(Suggest, FindsWhatASlipOfTheFingerMeant) {
  EXPECT_EQ(suggest("rols", kKnown), "roles");
  EXPECT_EQ(suggest("heatlh", kKnown), "health") << "two neighbours swapped";
  EXPECT_EQ(suggest("Domain", kKnown), "domain");
  EXPECT_EQ(suggest("health-interval", kKnown), "health_interval");
  EXPECT_EQ(suggest("rn", kKnown), "run");
}

TEST(Suggest, IsSilentWhenNothingIsNear) {
  EXPECT_FALSE(suggest("kubernetes", kKnown));
  EXPECT_FALSE(suggest("", kKnown));
  EXPECT_FALSE(suggest("x", kKnown));
  EXPECT_FALSE(suggest(std::string(100'000, 'x'), kKnown)) << "nor slow";
}

}  // namespace
}  // namespace terrace::config
