#include "reactor/task.h"

#include <gtest/gtest.h>

#include <memory>

#include "reactor/scope.h"

namespace terrace {
namespace {

Task<int> doubled(int value) { co_return value * 2; }

Task<int> sum_of_doubles(int first, int second) {
  const int a = co_await doubled(first);
  const int b = co_await doubled(second);
  co_return a + b;
}

Task<void> store(Task<int> task, int& into) { into = co_await task; }

Task<std::unique_ptr<int>> boxed(int value) { co_return std::make_unique<int>(value); }

Task<void> unbox(int& into) {
  const std::unique_ptr<int> box = co_await boxed(7);
  into = *box;
}

TEST(Task, ReturnsTheValueOfTheTasksThatItAwaits) {
  int result = 0;
  Scope scope;
  scope.spawn(store(sum_of_doubles(2, 3), result));
  EXPECT_EQ(result, 10);
}

TEST(Task, MadeFromAValueNeedsNoFrame) {
  int result = 0;
  Scope scope;
  scope.spawn(store(Task<int>::ready(5), result));
  EXPECT_EQ(result, 5);
}

TEST(Task, CarriesValuesThatOnlyMove) {
  int result = 0;
  Scope scope;
  scope.spawn(unbox(result));
  EXPECT_EQ(result, 7);
}

TEST(Task, ThatNeverStartedLeavesNothingBehind) { const Task<int> never = doubled(1); }

TEST(Task, TakesItsFramesFromThePoolInSteadyState) {
  int result = 0;
  Scope scope;
  scope.spawn(store(sum_of_doubles(1, 1), result));
  const uint64_t before = FramePool::heap_allocations();
  for (int i = 0; i < 1000; ++i) scope.spawn(store(sum_of_doubles(1, i), result));
  EXPECT_EQ(FramePool::heap_allocations(), before);
}

}  // namespace
}  // namespace terrace
