// What changes on disk is served new, and never as a mix of old and new.

#include <unistd.h>

#include "web/site_fixture.h"

namespace terrace::web {
namespace {

class FreshnessTest : public SiteFixture {};

TEST_F(FreshnessTest, SeesAChangedFileAtOnce) {
  write("/a.txt", "old");
  start();
  const std::string etag = get("/a.txt")->value("ETag");
  write_now("/a.txt", "new");
  turn();
  const Exchange exchange = get("/a.txt");
  EXPECT_EQ(exchange->body(), "new");
  EXPECT_NE(exchange->value("ETag"), etag);
}

TEST_F(FreshnessTest, SeesAFileReplacedByRename) {
  write("/a.txt", "old");
  write("/next.tmp", "new");
  start();
  EXPECT_EQ(get("/a.txt")->body(), "old");
  shell("mv next.tmp a.txt");
  turn();
  EXPECT_EQ(get("/a.txt")->body(), "new");
}

TEST_F(FreshnessTest, SeesAReleaseSwitchedByALink) {
  write("/releases/1/a.txt", "one");
  write("/releases/2/a.txt", "two");
  shell("ln -s releases/1 current");
  start();
  EXPECT_EQ(get("/current/a.txt")->body(), "one");
  shell("ln -s releases/2 next && mv -T next current");
  turn();
  EXPECT_EQ(get("/current/a.txt")->body(), "two");
  write_now("/releases/2/a.txt", "three");
  turn();
  EXPECT_EQ(get("/current/a.txt")->body(), "three");
}

TEST_F(FreshnessTest, SeesAFileThatAppearsAndGoes) {
  has_app_ = true;
  start();
  EXPECT_EQ(serve(*make("/sub/a.txt")), Served::kNotMine);
  write_now("/sub/a.txt", "here");
  turn();
  EXPECT_EQ(get("/sub/a.txt")->body(), "here");
  shell("rm -r sub");
  turn();
  EXPECT_EQ(serve(*make("/sub/a.txt")), Served::kNotMine);
}

TEST_F(FreshnessTest, SeesChangesByTimeWhereInotifyDoesNotReach) {
  limits_.folders_watched_max = 0;
  write("/a.txt", "old");
  start();
  EXPECT_EQ(get("/a.txt")->body(), "old");
  write_now("/a.txt", "new");
  clock_.advance(kFreshFor);
  turn();
  EXPECT_EQ(get("/a.txt")->body(), "new");
}

TEST_F(FreshnessTest, SeesAChangeThatLeavesSizeAndTimesAsTheyWere) {
  write("/a.txt", "one");
  start();
  EXPECT_EQ(get("/a.txt")->body(), "one");
  write("/a.txt", "two");  // the same length, the same time of change
  turn();
  EXPECT_EQ(get("/a.txt")->body(), "two");
}

TEST_F(FreshnessTest, KeepsTheTagOfAFileThatWasOnlyTouched) {
  write("/a.txt", "same");
  start();
  const std::string etag = get("/a.txt")->value("ETag");
  shell("touch a.txt");
  turn();
  EXPECT_EQ(get("/a.txt")->value("ETag"), etag);
}

TEST_F(FreshnessTest, ChangesTheTagOfALargeFileWrittenInPlace) {
  limits_.content_bytes_max = 10;
  limits_.folders_watched_max = 0;
  write("/large", std::string(100, 'a'));
  start();
  const std::string etag = get("/large")->value("ETag");
  write("/large", std::string(100, 'b'));
  const Exchange exchange = get("/large");  // no time has passed
  EXPECT_NE(exchange->value("ETag"), etag);
  EXPECT_EQ(exchange->body(), std::string(100, 'b'));
}

TEST_F(FreshnessTest, BreaksOffWhenALargeFileIsCutShortWhileItIsSent) {
  limits_.content_bytes_max = 10;
  write("/large", std::string(100, 'a'));
  start();
  const Exchange slow = make("/large");
  slow->hold();
  struct Run {
    static Task<void> ask(FileServer& server, http::Exchange& exchange, bool& done) {
      [[maybe_unused]] const Served served = co_await server.serve(exchange);
      done = true;
    }
  };
  bool done = false;
  scope_.spawn(Run::ask(*server_, *slow, done));
  ASSERT_EQ(::truncate(absolute("/large").c_str(), 50), 0);
  slow->release();
  EXPECT_TRUE(reactor_->run_until(done, std::chrono::seconds(5)));
  EXPECT_TRUE(slow->aborted());
}

TEST_F(FreshnessTest, GoesOnSendingAReplacedFileAsItWas) {
  limits_.content_bytes_max = 10;
  write("/large", std::string(100, 'a'));
  write("/next", std::string(200, 'b'));
  start();
  const Exchange slow = make("/large");
  slow->hold();
  struct Run {
    static Task<void> ask(FileServer& server, http::Exchange& exchange, bool& done) {
      [[maybe_unused]] const Served served = co_await server.serve(exchange);
      done = true;
    }
  };
  bool done = false;
  scope_.spawn(Run::ask(*server_, *slow, done));
  shell("mv next large");
  turn();
  EXPECT_EQ(get("/large")->body(), std::string(200, 'b'));
  slow->release();
  EXPECT_TRUE(reactor_->run_until(done, std::chrono::seconds(5)));
  EXPECT_EQ(slow->body(), std::string(100, 'a'));
  EXPECT_FALSE(slow->aborted());
}

}  // namespace
}  // namespace terrace::web
