#include "program/status.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace terrace::program {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

constexpr std::string_view kAnswer = R"({"ok":true,"site":"shop","path":"/srv/shop/site.toml","version":3,
  "state":"serving","supervisor":{"pid":100},"controller":{"pid":101,"starts":1},
  "worker":{"pid":102,"starts":2,"connected":true},
  "listeners":[{"purpose":"web","address":"127.0.0.1:8080","bound":"127.0.0.1:8080"},
               {"purpose":"admin","address":"127.0.0.1:9180","bound":"127.0.0.1:9180"}],
  "instances":[{"name":"app-1","slot":0,"generation":7,"pid":110,"state":"up","address":"127.0.0.1:20001",
                "uptime_seconds":7500,"restarts":2,"requests":10,"failures":0,"in_flight":1},
               {"name":"app-2","slot":1,"generation":8,"pid":111,"state":"starting","address":"127.0.0.1:20002",
                "uptime_seconds":1.25,"restarts":0,"requests":0,"failures":0,"in_flight":0}],
  "totals":{"connections":1,"connections_open":1,"requests":10,"in_flight":1,"queued":0,
            "statuses":{"2xx":9,"5xx":1},"bytes_sent":123456,"duration_seconds":0.5},
  "isolation":"namespace","limits":"cgroup v2"})";

SiteStatus good() { return parse_status(kAnswer).value_or(SiteStatus{}); }

TEST(Status, ShowsTheSiteAsTables) {
  EXPECT_EQ(render_status(good(), false, 12.34),
            R"(shop  serving  /srv/shop/site.toml, version 3  terrace 0.1.0

PROCESS     PID  STARTS
supervisor  100       1
controller  101       1
worker      102       2

LISTENER  ADDRESS
web       127.0.0.1:8080
admin     127.0.0.1:9180

INSTANCE  STATE     PID     UPTIME  RESTARTS  REQUESTS  FAILURES  IN FLIGHT  ADDRESS
app-1     up        110  2 h 5 min         2        10         0          1  127.0.0.1:20001
app-2     starting  111      1.2 s         0         0         0          0  127.0.0.1:20002

REQUESTS  PER SECOND  2XX  3XX  4XX  5XX     MEAN      SENT  IN FLIGHT  QUEUED  CONNECTIONS
      10        12.3    9    0    0    1  50.0 ms  123.5 kB          1       0            1
)");
}

TEST(Status, ShowsTheBackendsOfALoadBalancerWithTheirReason) {
  SiteStatus status = good();
  EXPECT_TRUE(is_fine(status));
  const auto read = parse_status(
      R"({"ok":true,"state":"serving","worker":{"connected":true},"backends":[
          {"pool":"","name":"web1","state":"up","seconds":7500,"weight":1,"standby":false},
          {"pool":"","name":"web2","state":"down","seconds":3.2,"weight":2,"standby":true,
           "reason":"no answer within 1000 ms"},
          {"pool":"api","name":"web1","state":"draining","seconds":60,"weight":1,"standby":false}]})");
  ASSERT_TRUE(read);
  status.backends = read->backends;
  EXPECT_THAT(render_status(status, false),
              HasSubstr("POOL  BACKEND  STATE           FOR  WEIGHT\n"
                        "-     web1     up        2 h 5 min       1\n"
                        "-     web2     down          3.2 s       2  stands by\n"
                        "    no answer within 1000 ms\n"
                        "api   web1     draining  1 min 0 s       1\n"));
  EXPECT_FALSE(is_fine(status));
  status.backends.erase(status.backends.begin() + 1);
  EXPECT_TRUE(is_fine(status));
}

TEST(Status, CountsTheVersionsOfTheSiteFileAsApplyDoes) {
  const auto alone = parse_status(R"({"ok":true,"state":"serving","version":5})");
  const auto several = parse_status(R"({"ok":true,"state":"serving","version":5,"applied":3})");
  ASSERT_TRUE(alone && several);
  EXPECT_EQ(alone->version, 5);
  EXPECT_EQ(several->version, 3);
}

TEST(Status, ShowsTheLastBackupAndTheNext) {
  SiteStatus status = good();
  EXPECT_THAT(render_status(status, false), Not(HasSubstr("BACKUP")));
  status.backup = BackupStatus{.next_seconds = 3700};
  EXPECT_THAT(render_status(status, false), HasSubstr("none yet"));
  status.backup = BackupStatus{
      .name = "shop-2026-11-23T020000Z.sqlite.zst", .age_seconds = 90, .bytes = 1200, .next_seconds = 3700};
  EXPECT_THAT(render_status(status, false),
              HasSubstr("BACKUP                                     AGE    SIZE  NEXT\n"
                        "shop-2026-11-23T020000Z.sqlite.zst  1 min 30 s  1.2 kB  in 1 h 1 min\n"));
  EXPECT_TRUE(is_fine(status));
  status.backup->error = "the database is damaged";
  EXPECT_FALSE(is_fine(status));
  EXPECT_THAT(render_status(status, false), HasSubstr("the last attempt failed: the database is damaged"));
}

TEST(Status, IsFineUntilSomethingNeedsAttention) {
  EXPECT_TRUE(is_fine(good()));
  SiteStatus status = good();
  status.state = "starting";
  EXPECT_FALSE(is_fine(status));
  status = good();
  status.worker_connected = false;
  EXPECT_FALSE(is_fine(status));
  status = good();
  status.listeners[1].error = "Address already in use";
  EXPECT_FALSE(is_fine(status));
  status = good();
  status.instances[0].state = "crash-loop";
  EXPECT_FALSE(is_fine(status));
  status = good();
  status.error = "the site file has 1 error";
  EXPECT_FALSE(is_fine(status));
  status = good();
  status.app_error = "app-1 was not healthy within start_timeout";
  EXPECT_FALSE(is_fine(status));
}

TEST(Status, SaysWhyAnInstanceIsDown) {
  SiteStatus status = good();
  InstanceStatus& down = status.instances[0];
  down.state = "crash-loop";
  down.pid = 0;
  down.last_exit = "exit status 1";
  down.retry_seconds = 20;
  down.last_output = {"Error: no module\x1b[2J", "  at line 3"};
  const std::string text = render_status(status, false);
  EXPECT_THAT(text, HasSubstr("    it ended with exit status 1\n    it starts again in 20 s\n    | Error: no "
                              "module\xef\xbf\xbd[2J\n"));
  EXPECT_THAT(text, HasSubstr("app-1     crash-loop    -       -"));
}

TEST(Status, SaysWhatIsWrongWithTheSite) {
  SiteStatus status = good();
  status.worker_connected = false;
  status.totals.reset();
  status.listeners[0].bound = "";
  status.listeners[0].error = "Address already in use";
  status.error = "the site file has 1 error";
  status.isolation = "subreaper";
  const std::string text = render_status(status, false);
  EXPECT_THAT(text, HasSubstr("worker      102       2  does not answer"));
  EXPECT_THAT(text, HasSubstr("127.0.0.1:8080  Address already in use"));
  EXPECT_THAT(text, HasSubstr("The last reload was refused: the site file has 1 error"));
  EXPECT_THAT(text, HasSubstr("guardian"));
  EXPECT_THAT(text, Not(HasSubstr("REQUESTS  PER SECOND")));
}

TEST(Status, SaysThatAChangeOfTheAppDidNotTakePlace) {
  SiteStatus status = good();
  status.app_error = "app-1 ended before it was healthy: exit status 1";
  EXPECT_THAT(
      render_status(status, false),
      HasSubstr("The last change of [app] failed: app-1 ended before it was healthy: exit status 1\n"));
}

TEST(Status, SaysWhatTheApplicationWroteWhereItDoesNotLastAndIsFineWithIt) {
  const auto read = parse_status(
      R"({"ok":true,"state":"serving","worker":{"connected":true},"stray_writes":["static/x.css","a\u001b[2J"]})");
  ASSERT_TRUE(read);
  EXPECT_TRUE(is_fine(*read));
  EXPECT_THAT(render_status(*read, false),
              HasSubstr("gone with the next deploy:\n  static/x.css\n  a\xef\xbf\xbd[2J\n"));
  SiteStatus many = good();
  many.stray_writes.assign(12, "x");
  EXPECT_THAT(render_status(many, false), HasSubstr("  x\n  and 2 more: `terrace logs` has all\n"));
}

TEST(Status, SaysWhyThereIsNoApplication) {
  SiteStatus status = good();
  status.instances.clear();
  status.app_error = "`migrate` ended with exit status 4";
  EXPECT_THAT(render_status(status, false),
              HasSubstr("The application does not run: `migrate` ended with exit status 4\n"));
  EXPECT_FALSE(is_fine(status));
}

TEST(Status, ColoursOnlyWhenAsked) {
  EXPECT_THAT(render_status(good(), false), Not(HasSubstr("\x1b")));
  EXPECT_THAT(render_status(good(), true), HasSubstr("\x1b[32mserving\x1b[0m"));
}

TEST(Status, AnAnswerOfAnotherShapeIsRefusedAndMissingPartsStayEmpty) {
  EXPECT_FALSE(parse_status("nonsense"));
  EXPECT_FALSE(parse_status("[]"));
  EXPECT_FALSE(parse_status(R"({"ok":false,"error":"no"})"));
  const auto bare =
      parse_status(R"({"ok":true,"site":7,"instances":[{"name":"app-1","pid":"x"}],"worker":[]})");
  ASSERT_TRUE(bare);
  EXPECT_EQ(bare->site, "");
  ASSERT_EQ(bare->instances.size(), 1U);
  EXPECT_EQ(bare->instances[0].pid, 0);
  EXPECT_FALSE(is_fine(*bare));
  EXPECT_THAT(render_status(*bare, false), HasSubstr("app-1"));
}

TEST(Status, DurationsAndSizesAreForPeople) {
  EXPECT_EQ(duration_words(0.04), "0.0 s");
  EXPECT_EQ(duration_words(59.9), "59 s");
  EXPECT_EQ(duration_words(61), "1 min 1 s");
  EXPECT_EQ(duration_words(3 * 86400 + 4 * 3600), "3 d 4 h");
  EXPECT_EQ(bytes_words(999), "999 B");
  EXPECT_EQ(bytes_words(1000), "1.0 kB");
  EXPECT_EQ(bytes_words(999'999), "1.0 MB");
}

}  // namespace
}  // namespace terrace::program
