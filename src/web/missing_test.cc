#include "web/missing.h"

#include <gtest/gtest.h>

#include <string>

namespace terrace::web {
namespace {

using namespace std::chrono_literals;

class MissingTest : public testing::Test {
 protected:
  Random random_{1};
  Missing missing_{random_, 1s};
  Time now_{1h};
};

TEST_F(MissingTest, RemembersAPathForAWhile) {
  missing_.add("/a/b", now_, 1);
  EXPECT_TRUE(missing_.contains("/a/b", now_ + 999ms, 1));
  EXPECT_FALSE(missing_.contains("/a/b", now_ + 1s, 1));
  EXPECT_FALSE(missing_.contains("/a/c", now_, 1));
  EXPECT_FALSE(missing_.contains("/a", now_, 1));
}

TEST_F(MissingTest, ForgetsEverythingWhenSomethingChanged) {
  missing_.add("/a/b", now_, 1);
  EXPECT_FALSE(missing_.contains("/a/b", now_, 2));
}

TEST_F(MissingTest, KnowsThatNothingIsBeneathAMissingFolder) {
  missing_.add_first_folder("/api/users/1", now_, 1);
  EXPECT_TRUE(missing_.contains("/api/users/2", now_, 1));
  EXPECT_TRUE(missing_.contains("/api", now_, 1));
  EXPECT_FALSE(missing_.contains("/apis", now_, 1));
}

TEST_F(MissingTest, DoesNotTakeAFolderWithoutIndexForMissing) {
  missing_.add("/admin", now_, 1);
  EXPECT_TRUE(missing_.contains("/admin", now_, 1));
  EXPECT_FALSE(missing_.contains("/admin/style.css", now_, 1));
}

TEST_F(MissingTest, StaysOfOneSizeUnderAnyNumberOfPaths) {
  for (int i = 0; i < 100'000; ++i) missing_.add("/x/" + std::to_string(i), now_, 1);
  EXPECT_TRUE(missing_.contains("/x/99999", now_, 1));
  EXPECT_FALSE(missing_.contains("/y/1", now_, 1));
}

}  // namespace
}  // namespace terrace::web
