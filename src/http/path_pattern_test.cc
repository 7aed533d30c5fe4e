#include "http/path_pattern.h"

#include <gtest/gtest.h>

namespace terrace::http {
namespace {

TEST(Pattern, FitsWholePaths) {
  EXPECT_TRUE(pattern_fits("/a", "/a"));
  EXPECT_FALSE(pattern_fits("/a", "/a/b"));
  EXPECT_FALSE(pattern_fits("/a/b", "/a"));
  EXPECT_TRUE(pattern_fits("*", "/any/thing"));
}

TEST(Pattern, LetsTheStarTakeSlashesAndNothing) {
  EXPECT_TRUE(pattern_fits("/assets/*", "/assets/js/app.js"));
  EXPECT_TRUE(pattern_fits("/assets/*", "/assets/"));
  EXPECT_TRUE(pattern_fits("*.js", "/a.js/b.js"));
  EXPECT_TRUE(pattern_fits("/a*b*c", "/aXbYbZc"));
  EXPECT_FALSE(pattern_fits("/a*b*c", "/aXcYb"));
}

TEST(Pattern, TakesTimeLinearInEachStar) {
  const std::string path = "/" + std::string(8000, 'a');
  EXPECT_FALSE(pattern_fits("/*a*a*a*a*a*a*a*b", path));
}

}  // namespace
}  // namespace terrace::http
