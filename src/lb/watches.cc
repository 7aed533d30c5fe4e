#include "lb/watches.h"

#include <algorithm>

namespace terrace::lb {

struct Watches::Kept final : WatchOwner {
  Kept(Reactor& on, WatchesOwner& whose) : reactor(on), owner(whose), watch(on, *this) {}

  Task<health::CheckResult> check(std::string backend, Duration limit) override {
    const auto member = std::ranges::find(plan.members, backend, &topology::PoolMember::name);
    if (member == plan.members.end()) co_return health::CheckResult{.reason = "it is not known"};
    Result<health::Check> what = check_of(lb, plan, *member, host);
    if (!what) co_return health::CheckResult{.reason = describe(what.error())};
    what->probe.limit = limit;
    const bool own = member->own;
    if (own) {
      health::CheckResult result = co_await owner.check_own(std::move(backend), std::move(*what));
      co_return result;
    }
    health::CheckResult result = co_await health::carry_out(reactor, std::move(*what));
    co_return result;
  }
  void changed(const Pool& pool, BackendSet) override { owner.decided(plan.name, pool.standings()); }

  Reactor& reactor;
  WatchesOwner& owner;
  topology::LbTable lb;
  topology::Pool plan;
  std::string host;
  Watch watch;
};

Watches::Watches(Reactor& reactor, WatchesOwner& owner) : reactor_(reactor), owner_(owner) {}

Watches::~Watches() = default;

Watches::Kept* Watches::find(std::string_view name) const {
  for (const std::unique_ptr<Kept>& kept : kept_) {
    if (kept != nullptr && kept->plan.name == name) return kept.get();
  }
  return nullptr;
}

void Watches::configure(const topology::Site& site) {
  std::vector<std::unique_ptr<Kept>> next;
  for (const topology::Pool& plan : topology::pools_of(site)) {
    const auto known = std::ranges::find_if(kept_, [&](const std::unique_ptr<Kept>& kept) {
      return kept != nullptr && kept->plan.name == plan.name;
    });
    std::unique_ptr<Kept> kept =
        known != kept_.end() ? std::move(*known) : std::make_unique<Kept>(reactor_, owner_);
    kept->lb = site.lb;
    kept->plan = plan;
    kept->host = site.site.domain.empty() ? "localhost" : site.site.domain;
    next.push_back(std::move(kept));
  }
  kept_.swap(next);
  for (std::unique_ptr<Kept>& gone : next) {
    if (gone == nullptr) continue;
    owner_.decided(gone->plan.name, {});
    scope_.spawn(end(std::move(gone)));
  }
  // What is decided meanwhile finds every pool in its place.
  for (const std::unique_ptr<Kept>& kept : kept_)
    kept->watch.configure(pool_plan(kept->lb, kept->plan), check_plan(kept->lb));
}

void Watches::suspect(std::string_view pool, std::string_view backend) {
  if (Kept* const kept = find(pool)) kept->watch.suspect(backend);
}

void Watches::verdict(std::string_view pool, std::string_view backend, Verdict verdict) {
  if (Kept* const kept = find(pool)) kept->watch.eject(backend, reason_of(verdict));
}

void Watches::drain(std::string_view backend, bool drained, std::string_view reason) {
  for (const std::unique_ptr<Kept>& kept : kept_) kept->watch.drain(backend, drained, reason);
}

std::vector<Standing> Watches::standings(std::string_view pool) const {
  const Kept* const kept = find(pool);
  return kept != nullptr ? kept->watch.pool().standings() : std::vector<Standing>();
}

Task<void> Watches::end(std::unique_ptr<Kept> kept) { co_await kept->watch.close(); }

Task<void> Watches::close() {
  for (std::unique_ptr<Kept>& kept : kept_) scope_.spawn(end(std::move(kept)));
  kept_.clear();
  co_await scope_.join();
}

}  // namespace terrace::lb
