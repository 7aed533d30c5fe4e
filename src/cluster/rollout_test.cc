#include "cluster/rollout.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <map>

namespace terrace::cluster {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

using Answers = std::function<Came(const Order&)>;

Came fine(const Order&) { return Came::kDone; }

// "switch web2", for every order until it is over.
std::vector<std::string> run(Rollout& rollout, const Answers& answers) {
  std::vector<std::string> orders;
  for (int i = 0; i < 100; ++i) {
    const std::optional<Order> order = rollout.next();
    if (!order) return orders;
    std::string text = word(order->kind);
    if (!order->server.empty()) text += " " + order->server;
    if (order->bakes) text += " bake";
    if (order->kind == OrderKind::kForget) text = "forget " + order->server;
    if (order->kind == OrderKind::kAwaitOld) text = "await " + order->server;
    orders.push_back(text);
    rollout.came(*order, answers(*order), "it broke");
  }
  ADD_FAILURE() << "it never ends";
  return orders;
}

// One order goes wrong, the others do not.
Answers one_goes_wrong(OrderKind kind, const std::string& server, Came came) {
  return
      [=](const Order& order) { return order.kind == kind && order.server == server ? came : Came::kDone; };
}

RolloutPlan deploy() { return {.builder = "web1", .servers = {"web1", "web2", "web3"}}; }
RolloutPlan rollback() {
  return {.builder = "web1", .servers = {"web1", "web2"}, .missing = {"web2"}, .rollback = true};
}

TEST(Rollout, BuildsOnceMigratesOnceAndSwitchesOneServerAfterTheOther) {
  Rollout rollout(deploy());
  EXPECT_THAT(run(rollout, fine), ElementsAre("build web1", "fetch web2", "fetch web3", "migrate web1",
                                              "start web1 bake", "start web2", "start web3", "record"));
  EXPECT_TRUE(rollout.succeeded());
}

TEST(Rollout, ARollbackBuildsAndMigratesNothingAndFetchesWhereTheReleaseIsMissing) {
  Rollout rollout(rollback());
  EXPECT_THAT(run(rollout, fine), ElementsAre("fetch web2", "start web1", "start web2", "record"));
  EXPECT_TRUE(rollout.succeeded());
}

TEST(Rollout, ABuildThatFailsChangesNothingAnywhere) {
  Rollout rollout(deploy());
  EXPECT_THAT(run(rollout, one_goes_wrong(OrderKind::kBuild, "web1", Came::kFailed)),
              ElementsAre("build web1", "back"));
  EXPECT_FALSE(rollout.succeeded());
  EXPECT_EQ(rollout.why(), "it broke");
}

TEST(Rollout, ASwitchThatFailsPutsBackWhatWasSwitchedAndAsksNobodyElse) {
  Rollout rollout(deploy());
  EXPECT_THAT(
      run(rollout, one_goes_wrong(OrderKind::kSwitch, "web2", Came::kFailed)),
      ElementsAre("build web1", "fetch web2", "fetch web3", "migrate web1", "start web1 bake", "start web2",
                  "back", "await web1", "await web2", "forget web1", "forget web2", "forget web3"));
  EXPECT_EQ(rollout.failed_at().server, "web2");
}

TEST(Rollout, AServerThatIsDownIsLeftOutAndCatchesUpByItself) {
  Rollout rollout(deploy());
  EXPECT_THAT(run(rollout, one_goes_wrong(OrderKind::kFetch, "web2", Came::kUnreachable)),
              ElementsAre("build web1", "fetch web2", "fetch web3", "migrate web1", "start web1 bake",
                          "start web3", "record"));
  EXPECT_TRUE(rollout.succeeded());
  EXPECT_THAT(rollout.left_out(), ElementsAre("web2"));
}

TEST(Rollout, AServerThatGoesDownBeforeItsSwitchIsLeftOutToo) {
  Rollout rollout(deploy());
  run(rollout, one_goes_wrong(OrderKind::kSwitch, "web3", Came::kUnreachable));
  EXPECT_TRUE(rollout.succeeded());
  EXPECT_THAT(rollout.left_out(), ElementsAre("web3"));
}

TEST(Rollout, AServerThatDiesWhileItSwitchesStopsTheDeploy) {
  Rollout rollout(deploy());
  run(rollout, one_goes_wrong(OrderKind::kSwitch, "web3", Came::kFailed));
  EXPECT_FALSE(rollout.succeeded()) << "the release may be what killed it";
}

TEST(Rollout, WithoutItsBuilderNothingGoesOn) {
  for (const OrderKind kind : {OrderKind::kBuild, OrderKind::kMigrate, OrderKind::kSwitch}) {
    Rollout rollout(deploy());
    run(rollout, one_goes_wrong(kind, "web1", Came::kUnreachable));
    EXPECT_FALSE(rollout.succeeded()) << word(kind);
  }
}

TEST(Rollout, ARecordThatIsRefusedPutsAllBack) {
  Rollout rollout(rollback());
  EXPECT_THAT(
      run(rollout, one_goes_wrong(OrderKind::kRecord, "", Came::kFailed)),
      ElementsAre("fetch web2", "start web1", "start web2", "record", "back", "await web1", "await web2"));
  EXPECT_FALSE(rollout.succeeded());
}

TEST(Rollout, CalledOffItGoesBackAndOnceRecordedItCannotBe) {
  Rollout rollout(deploy());
  while (rollout.next()->kind != OrderKind::kSwitch) rollout.came(*rollout.next(), Came::kDone);
  rollout.came(*rollout.next(), Came::kDone);
  rollout.call_off("anna called it off");
  EXPECT_THAT(run(rollout, fine),
              ElementsAre("back", "await web1", "forget web1", "forget web2", "forget web3"));
  EXPECT_EQ(rollout.why(), "anna called it off");
  Rollout during(deploy());
  const Order build = *during.next();
  during.call_off("anna called it off");
  during.came(build, Came::kFailed, "the build was ended");
  EXPECT_EQ(during.why(), "anna called it off") << "the first reason counts";
  EXPECT_EQ(during.next()->kind, OrderKind::kGiveUp);
  Rollout other(deploy());
  run(other, fine);
  other.call_off("too late");
  EXPECT_TRUE(other.succeeded());
}

// Whatever goes wrong, once or at two places: either it is recorded, and every server that
// was not left out has switched; or it is given up, and every server that may have
// switched is waited for.
TEST(Rollout, WithAnyTwoFaultsItEndsWithOneReleaseEverywhere) {
  constexpr int kOrders = 16;
  for (const bool back : {false, true}) {
    for (int first = 0; first < kOrders; ++first) {
      for (int second = 0; second < kOrders; ++second) {
        for (const Came one : {Came::kFailed, Came::kUnreachable}) {
          for (const Came other : {Came::kFailed, Came::kUnreachable}) {
            Rollout rollout(back ? rollback() : deploy());
            std::map<std::string, bool> on_new;
            bool given_up = false;
            int count = 0;
            run(rollout, [&](const Order& order) {
              const int at = count++;
              const Came came = at == first ? one : at == second ? other : Came::kDone;
              if (order.kind == OrderKind::kSwitch && came != Came::kUnreachable) on_new[order.server] = true;
              if (order.kind == OrderKind::kGiveUp) given_up = true;
              if (order.kind == OrderKind::kAwaitOld) on_new[order.server] = false;
              return came;
            });
            EXPECT_NE(rollout.succeeded(), given_up);
            for (const auto& [server, is_on_new] : on_new)
              EXPECT_EQ(is_on_new, rollout.succeeded()) << server;
          }
        }
      }
    }
  }
}

}  // namespace
}  // namespace terrace::cluster
