#include "reactor/buffers.h"

#include <gtest/gtest.h>

namespace terrace {
namespace {

TEST(Buffers, GiveTheWarmOneBackFirst) {
  Buffers buffers(4);
  Buffer first = buffers.take();
  Buffer second = buffers.take();
  char* warm = second.data();
  second.release();
  EXPECT_EQ(buffers.take().data(), warm);
}

TEST(Buffers, GiveNothingBeyondTheirLimit) {
  Buffers buffers(1);
  Buffer only = buffers.take();
  EXPECT_FALSE(buffers.take());
  only.release();
  EXPECT_TRUE(buffers.take());
}

TEST(Buffers, AllocateNothingInSteadyState) {
  Buffers buffers(4);
  for (int i = 0; i < 100; ++i) const Buffer used = buffers.take();
  EXPECT_EQ(buffers.heap_allocations(), 1u);
}

}  // namespace
}  // namespace terrace
