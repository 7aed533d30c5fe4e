#include "lb/pools.h"

#include <algorithm>

#include "base/assert.h"
#include "http/url.h"

namespace terrace::lb {
namespace {

// Of zero it is zero, of anything else one at least.
int share_of(int total, const Core& core) {
  const int count = static_cast<int>(core.count);
  return (total + count - 1) / count;
}

DispatchOptions dispatch_options(const topology::LbTable& lb, const topology::Pool& plan, const Core& core) {
  return {.balancer = balancer_options(lb, plan, core),
          .retries = retry_options(lb),
          .queue_max = share_of(lb.queue, core)};
}

}  // namespace

Pools::Pools(Reactor& reactor, PoolEvents& events, const Core& core, const Log& log)
    : reactor_(reactor), events_(events), core_(core), log_(log) {}

CorePool* Pools::find(std::string_view name) const {
  for (const std::unique_ptr<CorePool>& pool : pools_) {
    if (pool != nullptr && pool->plan.name == name) return pool.get();
  }
  return nullptr;
}

std::unique_ptr<CorePool> Pools::take(std::string_view name) {
  for (std::unique_ptr<CorePool>& pool : pools_) {
    if (pool != nullptr && pool->plan.name == name) return std::move(pool);
  }
  return nullptr;
}

void Pools::configure(const topology::Site& site, std::string_view secret) {
  const std::vector<topology::Pool> plans = topology::pools_of(site);
  std::vector<std::unique_ptr<CorePool>> pools;
  for (const topology::Pool& plan : plans) {
    std::unique_ptr<CorePool> pool = take(plan.name);
    // One that has become of the other kind is another pool.
    if (pool != nullptr && (pool->tcp != nullptr) == plan.tcp.empty())
      scope_.spawn(retire(std::exchange(pool, nullptr), site.web.drain_timeout));
    if (pool == nullptr) pool = std::make_unique<CorePool>(reactor_, dispatch_options(site.lb, plan, core_));
    configure_pool(*pool, site.lb, plan, site.lb.sticky ? secret : std::string_view());
    pools.push_back(std::move(pool));
  }
  std::erase_if(decided_, [&](const auto& one) {
    return std::ranges::find(plans, one.first, &topology::Pool::name) == plans.end();
  });
  pools_.swap(pools);
  for (std::unique_ptr<CorePool>& gone : pools) {
    if (gone != nullptr) scope_.spawn(retire(std::move(gone), site.web.drain_timeout));
  }
  routes_ = std::make_unique<Routes>(plans);
  if (clients_) clients_->set_options(client_limits(site.lb), reactor_.now());
}

void Pools::configure_pool(CorePool& pool, const topology::LbTable& lb, const topology::Pool& plan,
                           std::string_view secret) {
  pool.plan = plan;
  pool.dispatch.set_options(dispatch_options(lb, plan, core_));
  pool.key_source = key_source(plan);
  std::vector<std::string> names;
  for (const topology::PoolMember& member : plan.members) names.push_back(member.name);
  pool.sticky = secret.empty() ? nullptr : std::make_shared<const StickyCookies>(secret, names);
  if (!plan.tcp.empty()) configure_tcp(pool, lb);
  const auto decided = decided_.find(plan.name);
  if (decided != decided_.end()) pool.dispatch.update(decided->second);
}

void Pools::configure_tcp(CorePool& pool, const topology::LbTable& lb) {
  TcpProxyOptions options{.connect_timeout = lb.connect_timeout, .queue_timeout = lb.queue_timeout};
  for (const std::string& text : lb.proxy_from) {
    if (const Result<net::Network> network = net::Network::parse(text))
      options.proxy_from.push_back(*network);
  }
  if (pool.tcp == nullptr) pool.tcp = std::make_unique<TcpProxy>(reactor_, pool.dispatch, options, log_);
  pool.tcp->set_options(options);
  std::map<std::string, TcpTarget, std::less<>> targets;
  for (const topology::PoolMember& member : pool.plan.members) {
    const Result<net::Address> address = net::Address::parse(member.address);
    if (address) targets[member.name] = {.address = *address, .proxy = member.proxy};
  }
  pool.tcp->set_targets(std::move(targets));
}

void Pools::update(std::string_view pool, const std::vector<Standing>& standings) {
  decided_[std::string(pool)] = standings;
  if (CorePool* const known = find(pool)) known->dispatch.update(standings);
}

void Pools::tick() {
  for (const std::unique_ptr<CorePool>& pool : pools_) {
    pool->dispatch.tick();
    Balancer& balancer = pool->dispatch.balancer();
    for (size_t i : balancer.take_suspects()) events_.suspect(pool->plan.name, balancer.name(i));
    say_verdicts(*pool);
  }
}

void Pools::say_verdicts(CorePool& pool) {
  Balancer& balancer = pool.dispatch.balancer();
  for (size_t i : balancer.take_verdicts())
    events_.verdict(pool.plan.name, balancer.name(i), balancer.verdict(i));
}

Pools::Use Pools::use(std::string_view host, std::string_view path) const {
  ASSERT(routes_ != nullptr);
  return Use(pools_[routes_->find(host, path)].get());
}

Pools::Use Pools::use_for(std::string_view host, std::string_view raw_path) const {
  ASSERT(routes_ != nullptr);
  if (!routes_->by_path()) return use(host, {});
  const Buffer buffer = reactor_.buffers().take();
  if (!buffer || raw_path.size() > Buffer::size()) return use(host, {});
  return use(host, http::normalise_path(raw_path, {buffer.data(), Buffer::size()}).value_or(""));
}

int Pools::waiting() const {
  int sum = 0;
  for (const std::unique_ptr<CorePool>& pool : pools_) sum += pool->dispatch.waiting();
  return sum;
}

net::Acceptor* Pools::acceptor(std::string_view listen) const {
  for (const std::unique_ptr<CorePool>& pool : pools_) {
    const std::vector<std::string>& tcp = pool->plan.tcp;
    if (std::ranges::find(tcp, listen) != tcp.end()) return pool->tcp.get();
  }
  return nullptr;
}

// Requests in its line leave at their deadline, those at a backend at theirs.
Task<void> Pools::retire(std::unique_ptr<CorePool> pool, Duration limit) {
  constexpr Duration kLook = std::chrono::milliseconds(50);
  const Time end = reactor_.now() + limit;
  while (pool->tcp != nullptr && pool->tcp->connections() > 0 && reactor_.now() < std::min(end, ends_))
    co_await sleep(reactor_, kLook);
  if (pool->tcp != nullptr) co_await pool->tcp->drain(Duration(0));
  while (pool->users > 0) {
    co_await sleep(reactor_, kLook);
    pool->dispatch.tick();
  }
}

void Pools::hasten(Duration limit) { ends_ = reactor_.now() + limit; }

Task<void> Pools::close(Duration limit) {
  for (std::unique_ptr<CorePool>& pool : pools_) scope_.spawn(retire(std::move(pool), limit));
  pools_.clear();
  routes_.reset();
  co_await scope_.join();
}

}  // namespace terrace::lb
