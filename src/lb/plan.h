#pragma once

// What the site file says of a load balancer, as what this folder works with. Pure; any
// thread.

#include "health/check.h"
#include "health/check_schedule.h"
#include "lb/balancer.h"
#include "lb/limits.h"
#include "lb/pool.h"
#include "lb/request_key.h"
#include "lb/retry.h"
#include "topology/pools.h"

namespace terrace::lb {

// A core of so many. What is a limit for the server is divided among them.
struct Core {
  size_t number = 0;
  size_t count = 1;
};

PoolPlan pool_plan(const topology::LbTable& lb, const topology::Pool& pool);
BalancerOptions balancer_options(const topology::LbTable& lb, const topology::Pool& pool, const Core& core);
// What the requests of a pool are told apart by.
KeySource key_source(const topology::Pool& pool);
// Of a site that limits nobody all are zero.
ClientLimitOptions client_limits(const topology::LbTable& lb);
RetryBudget::Options retry_options(const topology::LbTable& lb);

health::CheckPlan check_plan(const topology::LbTable& lb);
// `host`: what the check asks for, in its Host field. kInvalid when the address is none.
Result<health::Check> check_of(const topology::LbTable& lb, const topology::Pool& pool,
                               const topology::PoolMember& member, const std::string& host);

}  // namespace terrace::lb
