#include "lb/upstream.h"

#include <algorithm>

namespace terrace::lb {

void Upstreams::configure(const std::vector<topology::Pool>& pools, const Reach& reach,
                          Duration drain_limit) {
  reach_ = reach;
  std::map<std::string, std::unique_ptr<Upstream>, std::less<>> before;
  before.swap(all_);
  for (const topology::Pool& pool : pools) {
    if (!pool.tcp.empty()) continue;
    for (const topology::PoolMember& member : pool.members) {
      std::unique_ptr<Upstream>& upstream = all_[member.name];
      if (upstream != nullptr) continue;
      const auto known = before.find(member.name);
      if (known != before.end() &&
          (known->second->hop != nullptr) == (member.own && member.name != reach.server))
        upstream = std::move(known->second);
      if (upstream == nullptr) upstream = std::make_unique<Upstream>(member.name);
      set_up(*upstream, member);
    }
  }
  for (auto& [name, upstream] : before) {
    if (upstream != nullptr) scope_.spawn(retire(std::move(upstream), drain_limit));
  }
}

void Upstreams::set_up(Upstream& upstream, const topology::PoolMember& member) {
  const Result<net::Address> address = net::Address::parse(member.address);
  if (!address) return;
  if (upstream.address.print() != address->print() || upstream.proxy != member.proxy) {
    upstream.idle.clear();
    ++upstream.epoch;
  }
  upstream.address = *address;
  upstream.here = member.own && member.name == reach_.server;
  upstream.proxy = member.proxy;
  if (!member.own || upstream.here) return;
  if (upstream.hop == nullptr) upstream.hop = std::make_unique<Hop>(reactor_, member.name);
  upstream.hop->set_options(hop_options(*address));
}

// A third of the silence is spent until it is noticed, a third until it is certain; what is
// left is for the request that goes somewhere else.
Hop::Options Upstreams::hop_options(const net::Address& address) const {
  Hop::Options options{.address = address, .tls = reach_.tls, .connect_timeout = reach_.connect_timeout};
  constexpr Duration kShortest = std::chrono::milliseconds(100);
  const Duration third = std::max(reach_.silence_max / 3, kShortest);
  options.limits.ping_interval = std::min(options.limits.ping_interval, third);
  options.limits.ping_timeout = std::min(options.limits.ping_timeout, third);
  options.connect_timeout = std::min(options.connect_timeout, std::max(reach_.silence_max, kShortest));
  return options;
}

void Upstreams::set_reach(const Reach& reach) {
  reach_ = reach;
  for (const auto& [name, upstream] : all_) {
    if (upstream->hop == nullptr) continue;
    upstream->hop->set_options(hop_options(upstream->address));
  }
}

Task<void> Upstreams::open_hops(Time deadline) {
  Scope opening;
  for (const auto& [name, upstream] : all_) {
    if (upstream->hop != nullptr) opening.spawn(open_hop(Use(upstream.get()), deadline));
  }
  co_await opening.join();
}

Task<void> Upstreams::open_hop(Use upstream, Time deadline) {
  (void)co_await upstream->hop->reach(false, deadline);
}

Upstreams::Use Upstreams::find(std::string_view name) const {
  const auto found = all_.find(name);
  return Use(found != all_.end() ? found->second.get() : nullptr);
}

void Upstreams::fell_silent(std::string_view name) {
  const Use upstream = find(name);
  if (!upstream) return;
  upstream->idle.clear();
  for (http::ClientConnection* one : upstream->in_use) {
    if (!one->answered()) one->stream().interrupt_read();
  }
}

void Upstreams::sweep() {
  for (const auto& [name, upstream] : all_) upstream->idle.sweep(reactor_.now());
}

Task<void> Upstreams::retire(std::unique_ptr<Upstream> upstream, Duration limit) {
  constexpr Duration kLook = std::chrono::milliseconds(50);
  if (upstream->hop != nullptr) co_await upstream->hop->close(limit);
  // Whoever waits for a connection of it has its own deadline.
  while (upstream->users > 0) co_await sleep(reactor_, kLook);
}

Task<void> Upstreams::close(Duration limit) {
  for (auto& [name, upstream] : all_) scope_.spawn(retire(std::move(upstream), limit));
  all_.clear();
  co_await scope_.join();
}

}  // namespace terrace::lb
