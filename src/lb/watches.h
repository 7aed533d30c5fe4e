#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "lb/passive.h"
#include "lb/plan.h"
#include "lb/watch.h"
#include "reactor/scope.h"
#include "topology/pools.h"

namespace terrace::lb {

class WatchesOwner {
 public:
  virtual ~WatchesOwner() = default;
  // One check of one of our own web servers, which only speak encrypted; it ends within the
  // limit of the check.
  virtual Task<health::CheckResult> check_own(std::string server, health::Check check) = 0;
  // What is decided of a pool's backends has changed: for every core, and for people. None
  // when the pool is gone.
  virtual void decided(const std::string& pool, const std::vector<Standing>& standings) = 0;
};

// All pools of the site: their checks and what is decided of their backends, in one place for
// all cores. On one reactor; one thread.
class Watches {
 public:
  Watches(Reactor& reactor, WatchesOwner& owner);
  // After close().
  ~Watches();

  // Pools that stay, by their name, keep what is known of them.
  void configure(const topology::Site& site);
  // What cores saw (PoolEvents), and what people say. Names that are not known are ignored.
  void suspect(std::string_view pool, std::string_view backend);
  void verdict(std::string_view pool, std::string_view backend, Verdict verdict);
  // In every pool that it is in.
  void drain(std::string_view backend, bool drained, std::string_view reason);

  // For people; empty when there is no such pool.
  std::vector<Standing> standings(std::string_view pool) const;
  Task<void> close();

 private:
  struct Kept;
  Kept* find(std::string_view name) const;
  static Task<void> end(std::unique_ptr<Kept> kept);

  Reactor& reactor_;
  WatchesOwner& owner_;
  std::vector<std::unique_ptr<Kept>> kept_;
  Scope scope_;
};

}  // namespace terrace::lb
