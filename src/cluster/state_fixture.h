#pragma once

#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <optional>
#include <string>

#include "base/log.h"
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
    EXPECT_TRUE(reactor_->run_until(done, std::chrono::seconds(30)));
    return std::move(*result);
  }
  void finish(Task<void> task) {
    bool done = false;
    scope_.spawn(wait(std::move(task), done));
    EXPECT_TRUE(reactor_->run_until(done, std::chrono::seconds(30)));
  }
  Time soon(Duration after = std::chrono::seconds(2)) const { return clock_.now() + after; }

  SystemClock clock_;
  Log log_{"test", LogLevel::kError};
  std::unique_ptr<Reactor> reactor_ = Reactor::create(clock_, {}).value();
  Scope scope_;

 private:
  template <class T>
  static Task<void> keep(Task<T> task, std::optional<T>& into, bool& done) {
    T result = co_await task;
    into.emplace(std::move(result));
    done = true;
  }
  static Task<void> wait(Task<void> task, bool& done) {
    co_await task;
    done = true;
  }
};

// A folder that goes when the test does.
class TestFolder {
 public:
  TestFolder() {
    char name[] = "/tmp/terrace-cluster-XXXXXX";
    path = ::mkdtemp(name);
  }
  ~TestFolder() { std::filesystem::remove_all(path); }
  TestFolder(const TestFolder&) = delete;
  TestFolder& operator=(const TestFolder&) = delete;
  std::string path;
};

}  // namespace terrace::cluster
