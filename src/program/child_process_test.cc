#include "program/child_process.h"

#include <gtest/gtest.h>

namespace terrace::program {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

TEST(ChildProcess, ComesBackAtOnceUnlessItKeepsDying) {
  EXPECT_EQ(restart_pause(0), seconds(0));
  EXPECT_EQ(restart_pause(5), seconds(0));
  EXPECT_EQ(restart_pause(6), milliseconds(100));
  EXPECT_EQ(restart_pause(7), milliseconds(200));
  EXPECT_EQ(restart_pause(12), seconds(5));
  EXPECT_EQ(restart_pause(1'000'000), seconds(5));
}

}  // namespace
}  // namespace terrace::program
