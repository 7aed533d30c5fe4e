#pragma once

#include <gtest/gtest.h>

#include <optional>

#include "cluster/state.h"
#include "reactor/reactor.h"
#include "reactor/scope.h"

namespace terrace::cluster {

// For tests: runs one task to its end and returns what it gave.
class StateTest : public testing::Test {
 protected:
  template <class T>
  T run(Task<T> task) {
    std::optional<T> result;
    bool done = false;
    scope_.spawn(keep(std::move(task), result, done));
    EXPECT_TRUE(reactor_->run_until(done, std::chrono::seconds(10)));
    return std::move(*result);
  }
  Time soon(Duration after = std::chrono::seconds(2)) const { return clock_.now() + after; }

  SystemClock clock_;
  std::unique_ptr<Reactor> reactor_ = Reactor::create(clock_, {}).value();
  Scope scope_;

 private:
  template <class T>
  static Task<void> keep(Task<T> task, std::optional<T>& into, bool& done) {
    T result = co_await std::move(task);
    into.emplace(std::move(result));
    done = true;
  }
};

}  // namespace terrace::cluster
