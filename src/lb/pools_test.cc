#include "lb/pools.h"

#include <gtest/gtest.h>

#include "lb/watches.h"
#include "topology/load.h"

namespace terrace::lb {
namespace {

using namespace std::chrono_literals;

std::shared_ptr<const topology::Site> site(const std::string& text) {
  topology::LoadOptions options;
  options.look_at_folders = false;
  const topology::LoadedSite loaded = topology::load_site_text(text, "/srv/shop/site.toml", options);
  EXPECT_TRUE(loaded.site) << loaded.text;
  return loaded.site;
}

const std::string kServers =
    "[web]\nfiles = \"public\"\ndrain_timeout = \"1s\"\n[servers]\n"
    "lb1 = { address = \"10.0.0.1\", roles = [\"lb\"] }\n"
    "lb2 = { address = \"10.0.0.2\", roles = [\"lb\"] }\n"
    "web1 = { address = \"10.0.0.3\" }\nweb2 = { address = \"10.0.0.4\" }\n";
const std::string kApi =
    "[lb.pools]\napi = { servers = [\"web2\"], paths = [\"/api/*\"] }\n"
    "cache = { servers = [\"redis\"], tcp = [\"0.0.0.0:6379\"] }\n"
    "[lb.backends]\nredis = { address = \"10.0.0.9:6379\" }\n";

// One core and the place where it is decided, on one reactor: what the worker has for each
// of its cores.
class PoolsTest : public testing::Test, public PoolEvents, public WatchesOwner {
 protected:
  ~PoolsTest() override {
    bool done = false;
    scope_.spawn(close(done));
    EXPECT_TRUE(reactor_->run_until(done, 5s));
  }
  Task<void> close(bool& done) {
    co_await watches_.close();
    co_await pools_.close(0s);
    done = true;
  }

  void suspect(const std::string& pool, const std::string& backend) override {
    watches_.suspect(pool, backend);
  }
  void verdict(const std::string& pool, const std::string& backend, Verdict verdict) override {
    watches_.verdict(pool, backend, verdict);
  }
  Task<health::CheckResult> check_own(std::string server, health::Check check) override {
    checked_.push_back(server + " " + check.probe.address.print());
    const bool well = down_ != server;
    co_return health::CheckResult{.success = well, .reason = well ? "" : "answers 500"};
  }
  void decided(const std::string& pool, const std::vector<Standing>& standings) override {
    pools_.update(pool, standings);
  }

  void configure(const std::string& text, std::string_view secret = {}) {
    const auto read = site(text);
    ASSERT_TRUE(read);
    pools_.configure(*read, secret);
    watches_.configure(*read);
    run(10ms);
  }
  void run(Duration time) {
    const bool never = false;
    reactor_->run_until(never, time);
    pools_.tick();
  }
  // The backend that a request for this gets.
  std::string taken(std::string_view path) {
    const Pools::Use pool = pools_.use("shop.example.com", path);
    const auto place = pool->dispatch.take({}, {});
    if (!place) return "";
    const std::string name = pool->dispatch.balancer().name(place->position);
    pool->dispatch.finish(*place, {.status = 200});
    return name;
  }

  SystemClock clock_;
  Log log_{"test", LogLevel::kError};
  std::unique_ptr<Reactor> reactor_ = Reactor::create(clock_, {}).value();
  Pools pools_{*reactor_, *this, {}, log_};
  Watches watches_{*reactor_, *this};
  std::vector<std::string> checked_;
  std::string down_;
  Scope scope_;
};

TEST_F(PoolsTest, ARequestGoesToTheServersOfItsPool) {
  configure(kServers + kApi);
  for (int i = 0; i < 4; ++i) {
    EXPECT_EQ(taken("/api/x"), "web2");
    EXPECT_EQ(taken("/"), "web1");
  }
}

TEST_F(PoolsTest, OurOwnServersAreCheckedByTheEncryptedPort) {
  configure(kServers);
  ASSERT_GE(checked_.size(), 2U);
  EXPECT_EQ(checked_[0], "web1 10.0.0.3:7402");
}

TEST_F(PoolsTest, WhoFailsItsChecksGetsNothingAndComesBack) {
  const std::string quick = kServers + "[lb]\ncheck_interval = \"100ms\"\n";
  configure(quick);
  down_ = "web1";
  for (int i = 0; i < 100 && watches_.standings("")[0].state != State::kDown; ++i) run(10ms);
  for (int i = 0; i < 4; ++i) EXPECT_EQ(taken("/"), "web2");
  down_.clear();
  for (int i = 0; i < 100 && watches_.standings("")[0].state == State::kDown; ++i) run(10ms);
  EXPECT_EQ(watches_.standings("")[0].state, State::kSlowStart);
}

TEST_F(PoolsTest, WhatACoreSawLeadsToAnEjection) {
  configure(kServers);
  for (int i = 0; i < 20; ++i) {
    const Pools::Use pool = pools_.use("", "/");
    const auto place = pool->dispatch.take({}, {});
    ASSERT_TRUE(place);
    const bool bad = pool->dispatch.balancer().name(place->position) == "web2";
    pool->dispatch.finish(*place, {.status = bad ? 500 : 200, .latency = 1ms});
  }
  run(10ms);
  EXPECT_EQ(watches_.standings("")[1].state, State::kEjected);
  for (int i = 0; i < 4; ++i) EXPECT_EQ(taken("/"), "web1");
}

TEST_F(PoolsTest, ADrainCountsInEveryPool) {
  configure(kServers +
            "[lb.pools]\napi = { servers = [\"web2\"], paths = [\"/api/*\"] }\n"
            "files = { servers = [\"web2\"], paths = [\"/files/*\"] }\n");
  watches_.drain("web2", true, "by command");
  EXPECT_EQ(taken("/api/x"), "");
  EXPECT_EQ(watches_.standings("api")[0].state, State::kDraining);
  EXPECT_EQ(watches_.standings("files")[0].state, State::kDraining);
  watches_.drain("web2", false, "");
  EXPECT_EQ(taken("/api/x"), "web2");
}

TEST_F(PoolsTest, AChangeOfTheSiteKeepsWhatStays) {
  configure(kServers + kApi);
  const Pools::Use api = pools_.use("", "/api/x");
  const auto place = api->dispatch.take({}, {});
  configure(kServers + "[lb]\nbalance = \"least-connections\"\n" + kApi);
  EXPECT_EQ(&*pools_.use("", "/api/x"), &*api);
  EXPECT_EQ(api->dispatch.balancer().in_flight(place->position), 1U);
  configure(kServers);
  // The pool is gone, and the request may still end.
  run(100ms);
  api->dispatch.finish(*place, {.status = 200});
  EXPECT_NE(&*pools_.use("", "/api/x"), &*api);
}

TEST_F(PoolsTest, WhatIsDecidedMayComeBeforeThePool) {
  pools_.update("api", {{.name = "web2", .state = State::kUp}});
  pools_.update("gone", {{.name = "web2", .state = State::kUp}});
  pools_.configure(*site(kServers + kApi), {});
  EXPECT_EQ(taken("/api/x"), "web2");
}

TEST_F(PoolsTest, AnAddressForAnyProtocolHasItsOwnTaker) {
  configure(kServers + kApi);
  EXPECT_NE(pools_.acceptor("0.0.0.0:6379"), nullptr);
  EXPECT_EQ(pools_.acceptor("0.0.0.0:80"), nullptr);
  configure(kServers);
  EXPECT_EQ(pools_.acceptor("0.0.0.0:6379"), nullptr);
}

TEST_F(PoolsTest, ClientsAreCountedOnlyWhereThereIsALimit) {
  configure(kServers);
  EXPECT_EQ(pools_.clients(), nullptr);
  ClientTable table(1, 1);
  pools_.use_clients(table);
  configure(kServers);
  EXPECT_EQ(pools_.clients()->admit({}, reactor_->now()).slot, ClientLimits::kNoSlot);
  configure(kServers + "[lb]\nclient_rate = 1\n");
  EXPECT_EQ(pools_.clients()->admit({}, reactor_->now()).answer, ClientLimits::Answer::kYes);
  EXPECT_EQ(pools_.clients()->admit({}, reactor_->now()).answer, ClientLimits::Answer::kTooFast);
}

TEST_F(PoolsTest, StickySessionsNeedTheKeyAndTheSecret) {
  const std::string secret(32, 's');
  configure(kServers, secret);
  EXPECT_EQ(pools_.use("", "/")->sticky, nullptr);
  configure(kServers + "[lb]\nsticky = true\n");
  EXPECT_EQ(pools_.use("", "/")->sticky, nullptr);
  configure(kServers + "[lb]\nsticky = true\n", secret);
  const Pools::Use pool = pools_.use("", "/");
  ASSERT_NE(pool->sticky, nullptr);
  EXPECT_EQ(pool->sticky->position("web1"), 0u);
  EXPECT_EQ(pool->sticky->position("web2"), 1u);
}

}  // namespace
}  // namespace terrace::lb
