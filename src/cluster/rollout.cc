#include "cluster/rollout.h"

#include <algorithm>
#include <utility>

#include "base/assert.h"

namespace terrace::cluster {

const char* word(OrderKind kind) {
  switch (kind) {
    case OrderKind::kBuild:
      return "build";
    case OrderKind::kFetch:
      return "fetch";
    case OrderKind::kMigrate:
      return "migrate";
    case OrderKind::kSwitch:
      return "start";
    case OrderKind::kRecord:
      return "record";
    case OrderKind::kGiveUp:
    case OrderKind::kAwaitOld:
    case OrderKind::kForget:
      return "back";
  }
  return "";
}

Rollout::Rollout(RolloutPlan plan) : plan_(std::move(plan)) {
  for (const std::string& server : plan_.servers) {
    const bool missing = std::ranges::find(plan_.missing, server) != plan_.missing.end();
    places_.push_back({.server = server, .has = plan_.rollback && !missing});
  }
  migrated_ = plan_.rollback;
  failed_at_ = {.kind = OrderKind::kBuild, .server = plan_.builder};
}

Rollout::Place& Rollout::place(const std::string& server) {
  const auto found = std::ranges::find(places_, server, &Place::server);
  ASSERT(found != places_.end());
  return *found;
}

std::optional<Order> Rollout::next() const {
  switch (stage_) {
    case Stage::kForward:
      return next_forward();
    case Stage::kGivingUp:
      return Order{.kind = OrderKind::kGiveUp};
    case Stage::kBack:
      return next_back();
    case Stage::kOver:
      return std::nullopt;
  }
  return std::nullopt;
}

std::optional<Order> Rollout::next_forward() const {
  const auto builder = std::ranges::find(places_, plan_.builder, &Place::server);
  if (builder != places_.end() && !builder->has)
    return Order{.kind = plan_.rollback ? OrderKind::kFetch : OrderKind::kBuild, .server = plan_.builder};
  for (const Place& each : places_) {
    if (!each.has) return Order{.kind = OrderKind::kFetch, .server = each.server};
  }
  if (!migrated_) return Order{.kind = OrderKind::kMigrate, .server = plan_.builder};
  bool first = true;
  for (const Place& each : places_) {
    if (!each.switched)
      return Order{.kind = OrderKind::kSwitch, .server = each.server, .bakes = first && !plan_.rollback};
    first = false;
  }
  return Order{.kind = OrderKind::kRecord};
}

std::optional<Order> Rollout::next_back() const {
  for (const Place& each : places_) {
    if (each.switched) return Order{.kind = OrderKind::kAwaitOld, .server = each.server};
  }
  // What a rollback went to had served before, and may again.
  for (const Place& each : places_) {
    if (!plan_.rollback && each.has && !each.forgot)
      return Order{.kind = OrderKind::kForget, .server = each.server};
  }
  return std::nullopt;
}

void Rollout::came(const Order& order, Came what, std::string why) {
  const bool done = what == Came::kDone;
  switch (order.kind) {
    case OrderKind::kBuild:
    case OrderKind::kFetch:
    case OrderKind::kSwitch: {
      if (done) {
        (order.kind == OrderKind::kSwitch ? place(order.server).switched : place(order.server).has) = true;
        return;
      }
      // A failed switch may have come about in part: the server is looked at.
      if (order.kind == OrderKind::kSwitch && what == Came::kFailed) place(order.server).switched = true;
      if (what == Came::kFailed || order.server == plan_.builder) return fail(order, std::move(why));
      left_out_.push_back(order.server);
      std::erase_if(places_, [&](const Place& each) { return each.server == order.server; });
      return;
    }
    case OrderKind::kMigrate:
      migrated_ = done;
      if (!done) fail(order, std::move(why));
      return;
    case OrderKind::kRecord:
      if (!done) return fail(order, std::move(why));
      recorded_ = true;
      stage_ = Stage::kOver;
      return;
    case OrderKind::kGiveUp:
      stage_ = Stage::kBack;
      return;
    // Nothing more can be done from here: that server goes back, and removes, by itself.
    case OrderKind::kAwaitOld:
      place(order.server).switched = false;
      return;
    case OrderKind::kForget:
      place(order.server).forgot = true;
      return;
  }
}

std::vector<std::string> Rollout::holders() const {
  std::vector<std::string> servers;
  for (const Place& each : places_) {
    if (each.has) servers.push_back(each.server);
  }
  return servers;
}

void Rollout::call_off(std::string why) {
  if (stage_ != Stage::kForward) return;
  const std::optional<Order> at = next_forward();
  fail(at.value_or(failed_at_), std::move(why));
}

// The first reason counts.
void Rollout::fail(const Order& order, std::string why) {
  if (stage_ != Stage::kForward) return;
  failed_at_ = order;
  why_ = std::move(why);
  stage_ = Stage::kGivingUp;
}

}  // namespace terrace::cluster
