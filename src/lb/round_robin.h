#pragma once

#include <array>

#include "lb/balance.h"

namespace terrace::lb {

// Smooth weighted round robin, nginx's (ngx_http_upstream_round_robin.c): each backend
// gains its weight per request, the one that has most is chosen and pays the sum of all.
// With weights 5, 1 and 1 the order is a a b a c a a, not five of the same in a row.
//
// In any run of requests that begins with a balanced state no backend is ever a whole
// request ahead of its share, and after as many requests as the weights' sum, shortened,
// the shares are exact. A backend that comes, goes or changes its weight in the middle
// costs no other more than one request.
class RoundRobin final : public Policy {
 public:
  explicit RoundRobin(size_t first) : first_(first % kBackendsMax) {}
  std::optional<size_t> pick(std::span<const Load> loads, BackendSet open, const Key& key, Time now) override;
  std::optional<size_t> pick(std::span<const Load> loads, BackendSet open);
  void forget(size_t backend) override { owed_[backend] = 0; }

 private:
  size_t first_;
  // What each is owed, in weights; negative when it is ahead.
  std::array<int64_t, kBackendsMax> owed_{};
};

}  // namespace terrace::lb
