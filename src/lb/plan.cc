#include "lb/plan.h"

#include <algorithm>

#include "topology/forms.h"

namespace terrace::lb {
namespace {

static_assert(topology::kPoolMembersMax == kBackendsMax);

constexpr double kPercent = 100;
// Of the first ejection: the longest one.
constexpr int kEjectionsMax = 30;

Algorithm algorithm_of(topology::Balance balance) {
  switch (balance) {
    case topology::Balance::kRoundRobin:
      return Algorithm::kRoundRobin;
    case topology::Balance::kLeastConnections:
      return Algorithm::kLeastConnections;
    case topology::Balance::kLeastLatency:
      return Algorithm::kLeastLatency;
    case topology::Balance::kIpHash:
      return Algorithm::kIpHash;
    case topology::Balance::kConsistentHash:
      return Algorithm::kConsistentHash;
  }
  return Algorithm::kRoundRobin;
}

uint32_t unsigned_of(int value) { return static_cast<uint32_t>(std::max(value, 0)); }

// Rounded up: a core without any place would serve nobody.
uint32_t share_of(int limit, const Core& core) {
  return static_cast<uint32_t>((unsigned_of(limit) + core.count - 1) / core.count);
}

}  // namespace

PoolPlan pool_plan(const topology::LbTable& lb, const topology::Pool& pool) {
  PoolPlan plan{.mode = pool.settings.mode == topology::LbMode::kActivePassive ? Mode::kActivePassive
                                                                               : Mode::kActiveActive,
                .returns = pool.settings.returns,
                .slow_start = lb.slow_start,
                .ejected_max = lb.eject_max / kPercent,
                .ejection = lb.eject_time,
                .ejection_max = lb.eject_time * kEjectionsMax};
  for (const topology::PoolMember& member : pool.members) {
    plan.backends.push_back({.name = member.name, .weight = unsigned_of(member.weight)});
  }
  return plan;
}

BalancerOptions balancer_options(const topology::LbTable& lb, const topology::Pool& pool, const Core& core) {
  return {.algorithm = algorithm_of(pool.settings.balance),
          .slow_start = lb.slow_start,
          .in_flight_max = share_of(lb.connections_max, core),
          .first = core.number,
          .passive = {.failures_row = unsigned_of(lb.eject_failures),
                      .errors_row = unsigned_of(lb.eject_failures),
                      .latency_factor = static_cast<double>(lb.eject_latency)}};
}

KeySource key_source(const topology::Pool& pool) {
  if (pool.settings.balance == topology::Balance::kIpHash) return {.kind = KeySource::Kind::kAddress};
  if (pool.settings.balance != topology::Balance::kConsistentHash) return {};
  const auto source = topology::parse_hash_source(pool.settings.hash);
  if (!source) return {};
  return {.kind = source->cookie ? KeySource::Kind::kCookie : KeySource::Kind::kHeader,
          .name = std::string(source->name)};
}

ClientLimitOptions client_limits(const topology::LbTable& lb) {
  return {.per_second = static_cast<double>(lb.client_rate),
          .burst = unsigned_of(lb.client_burst > 0 ? lb.client_burst : lb.client_rate),
          .at_once = unsigned_of(lb.client_requests)};
}

RetryBudget::Options retry_options(const topology::LbTable& lb) {
  RetryBudget::Options options{.share = lb.retries / kPercent};
  if (lb.retries == 0) options.free_per_second = 0;
  return options;
}

health::CheckPlan check_plan(const topology::LbTable& lb) {
  return health::CheckPlan::every(lb.check_interval, {.rise = lb.check_rise, .fall = lb.check_fall});
}

Result<health::Check> check_of(const topology::LbTable& lb, const topology::Pool& pool,
                               const topology::PoolMember& member, const std::string& host) {
  const Result<net::Address> address = net::Address::parse(member.address);
  if (!address) return std::unexpected(address.error());
  const bool tcp = pool.settings.check == "tcp";
  const topology::StatusRange range =
      topology::parse_status_range(pool.settings.check_status).value_or(topology::StatusRange());
  return health::Check{.kind = tcp ? health::Check::Kind::kTcp : health::Check::Kind::kHttp,
                       .probe = {.address = *address,
                                 .host = host,
                                 .path = tcp ? std::string() : pool.settings.check,
                                 .limit = check_plan(lb).timeout},
                       .status_min = range.first,
                       .status_max = range.last};
}

}  // namespace terrace::lb
