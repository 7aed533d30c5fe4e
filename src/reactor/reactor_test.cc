#include "reactor/reactor.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <thread>

#include "reactor/mailbox.h"
#include "reactor/scope.h"

namespace terrace {
namespace {

using namespace std::chrono_literals;

class ReactorTest : public testing::Test {
 protected:
  SystemClock clock_;
  std::unique_ptr<Reactor> reactor_ = Reactor::create(clock_, {}).value();
  Scope scope_;
};

Task<void> sleep_then(Reactor& reactor, Duration duration, bool& done) {
  co_await sleep(reactor, duration);
  done = true;
}

TEST_F(ReactorTest, ResumesASleeperAfterItsTime) {
  bool done = false;
  const Time start = clock_.now();
  scope_.spawn(sleep_then(*reactor_, 20ms, done));
  EXPECT_TRUE(reactor_->run_until(done, 2s));
  EXPECT_GE(clock_.now() - start, 20ms);
}

TEST_F(ReactorTest, RunsWhatAnotherThreadSubmits) {
  bool done = false;
  std::thread other([&] { submit(*reactor_, [&] { done = true; }); });
  EXPECT_TRUE(reactor_->run_until(done, 2s));
  other.join();
}

Task<void> wait_for(Event& event, Time deadline, Result<void>& result, bool& done) {
  result = co_await event.wait_until(deadline);
  done = true;
}

TEST_F(ReactorTest, AWaitForAnEventEndsAtItsDeadline) {
  Event event(*reactor_);
  bool done = false;
  Result<void> result;
  scope_.spawn(wait_for(event, clock_.now() + 10ms, result, done));
  EXPECT_TRUE(reactor_->run_until(done, 2s));
  EXPECT_EQ(result.error().code, Code::kTimeout);
}

TEST_F(ReactorTest, AnEventResumesWhoWaitsWithADeadlineOnce) {
  Event event(*reactor_);
  bool done = false;
  Result<void> result;
  scope_.spawn(wait_for(event, clock_.now() + 20ms, result, done));
  event.set();
  EXPECT_TRUE(reactor_->run_until(done, 2s));
  EXPECT_TRUE(result);
  bool never = false;
  reactor_->run_until(never, 30ms);
}

struct Readable {
  Watch& watch;
  bool await_ready() const { return watch.readable; }
  void await_suspend(std::coroutine_handle<> waiting) const { watch.reader = waiting; }
  void await_resume() const {}
};

Task<void> read_one(Watch& watch, bool& done) {
  co_await Readable{watch};
  done = true;
}

TEST_F(ReactorTest, WakesTheReaderOfAWatchedDescriptor) {
  int ends[2];
  ASSERT_EQ(::pipe2(ends, O_NONBLOCK | O_CLOEXEC), 0);
  bool done = false;
  {
    Watch watch;
    ASSERT_TRUE(watch.start(*reactor_, ends[0]));
    scope_.spawn(read_one(watch, done));
    EXPECT_FALSE(reactor_->run_until(done, 20ms));
    ASSERT_EQ(::write(ends[1], "x", 1), 1);
    EXPECT_TRUE(reactor_->run_until(done, 2s));
  }
  ::close(ends[0]);
  ::close(ends[1]);
}

Task<void> count_yields(Reactor& reactor, int& count, bool& stop) {
  while (!stop) {
    ++count;
    co_await yield(reactor);
  }
}

TEST_F(ReactorTest, ACoroutineThatOnlyYieldsStarvesNobody) {
  int count = 0;
  bool done = false;
  scope_.spawn(count_yields(*reactor_, count, done));
  scope_.spawn(sleep_then(*reactor_, 10ms, done));
  EXPECT_TRUE(reactor_->run_until(done, 2s));
  bool never = false;
  reactor_->run_until(never, 1ms);
  EXPECT_GT(count, 1);
}

}  // namespace
}  // namespace terrace
