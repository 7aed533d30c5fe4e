// The lifecycle against a world that does what it is told, late, and sometimes dies:
// random orders and accidents from a seed (TERRACE_SEED), and what always holds.

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <map>
#include <random>

#include "app/lifecycle_fixture.h"

namespace terrace::app {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

struct Process {
  uint32_t slot = 0;
  Member noted;  // what a successor is told
  bool told_to_end = false;
  bool drains = false;
};

class World {
 public:
  explicit World(uint64_t seed) : random_(seed), noted_{.instances = 2, .recipe = 1} {
    lifecycle_.configure(noted_, now());
  }

  void step() {
    const size_t up_before = count(MemberPhase::kUp);
    bool accident = something_happens();
    if (any(20) == 0) {
      carry_out(any(6));
      accident |= !is_noted_as_up();
      succeed();
    }
    carry_out();
    // Nothing but an accident, or what was asked for, takes the last one away.
    if (!accident && up_before > 0 && !lifecycle_.held() && lifecycle_.plan().instances > 0) {
      EXPECT_GT(count(MemberPhase::kUp), 0u);
    }
    for (const Lifecycle::Slot& place : lifecycle_.slots()) {
      EXPECT_TRUE(!place.standby || lifecycle_.baking());
    }
  }

  // Everything that was begun comes to its end.
  void settle() {
    lifecycle_.cancel_switch(now());
    lifecycle_.keep(now());
    lifecycle_.release(now());
    all_obey();
    // A roll that failed is not tried again by itself.
    lifecycle_.configure(LifecyclePlan(lifecycle_.plan()), now());
    for (int i = 0; i < 400; ++i) {
      all_obey();
      clock_.advance(milliseconds(500));
      lifecycle_.tick(now());
    }
    for (uint32_t slot = 0; slot < lifecycle_.slots().size(); ++slot) {
      const Lifecycle::Slot& place = lifecycle_.slots()[slot];
      EXPECT_TRUE(place.retiring.empty() && !place.candidate && !place.standby);
      EXPECT_EQ(place.current.has_value(), slot < lifecycle_.plan().instances);
      if (place.current) EXPECT_EQ(place.current->phase, MemberPhase::kUp);
      if (place.current) EXPECT_EQ(place.current->recipe, lifecycle_.plan().recipe);
    }
    EXPECT_EQ(processes_.size(), lifecycle_.plan().instances);
  }

 private:
  Time now() const { return clock_.now(); }
  uint32_t any(uint32_t below) { return std::uniform_int_distribution<uint32_t>(0, below - 1)(random_); }
  LifecyclePlan any_plan() { return {.instances = 1 + any(3), .recipe = ++recipe_}; }

  size_t count(MemberPhase phase) const {
    size_t n = 0;
    for (const Lifecycle::Slot& place : lifecycle_.slots())
      n += place.current && place.current->phase == phase;
    return n;
  }

  bool is_noted_as_up() const {
    // Of a slot that stays.
    return std::ranges::any_of(processes_, [this](const auto& each) {
      const Process& process = each.second;
      return process.slot < noted_.instances && process.noted.phase == MemberPhase::kUp &&
             !process.told_to_end;
    });
  }

  // Whether it was an accident: the end of a process, its illness, or too much time.
  bool something_happens() {
    const uint32_t what = any(100);
    if (what < 60) {
      if (processes_.empty()) return false;
      const auto it = std::next(processes_.begin(), any(static_cast<uint32_t>(processes_.size())));
      const auto [generation, process] = *it;
      obey(generation, process);
      return process.told_to_end;
    }
    if (what < 70) {
      clock_.advance(seconds(any(40)));
      lifecycle_.tick(now());
      return true;
    }
    if (what < 80) return accident();
    order(what);
    return what >= 97;
  }

  bool accident() {
    if (processes_.empty()) return false;
    const auto it = std::next(processes_.begin(), any(static_cast<uint32_t>(processes_.size())));
    const auto [generation, process] = *it;
    if (any(2) == 0) {
      lifecycle_.unhealthy(process.slot, generation, now());
      return true;
    }
    processes_.erase(it);
    lifecycle_.ended(process.slot, generation, now());
    return true;
  }

  void order(uint32_t what) {
    if (what < 84) {
      const bool possible = !lifecycle_.switching() && !lifecycle_.held();
      EXPECT_EQ(lifecycle_.switch_over(any_plan(), now()), possible);
    } else if (what < 87) {
      lifecycle_.keep(now());
    } else if (what < 90) {
      lifecycle_.cancel_switch(now());
    } else if (what < 92) {
      lifecycle_.roll(now());
    } else if (what < 94) {
      noted_ = {.instances = lifecycle_.plan().instances, .recipe = ++recipe_};
      noted_recipes_.insert(recipe_);
      lifecycle_.configure(noted_, now());
    } else if (what < 97) {
      lifecycle_.release(now());
    } else if (what < 99) {
      lifecycle_.go_back(now());
    } else {
      lifecycle_.hold(now());
    }
  }

  void all_obey() {
    carry_out();
    for (const auto& [generation, process] : std::map(processes_)) obey(generation, process);
    carry_out();
  }

  // Does the next thing that it was told to.
  void obey(uint32_t generation, const Process& process) {
    if (process.told_to_end) {
      processes_.erase(generation);
      lifecycle_.ended(process.slot, generation, now());
    } else if (process.drains) {
      processes_[generation].drains = false;
      lifecycle_.drained(process.slot, generation, now());
    } else {
      lifecycle_.healthy(process.slot, generation, now());
    }
  }

  // A new controller takes over what runs, with the plan that was noted.
  void succeed() {
    const bool held = lifecycle_.held();
    lifecycle_ = Lifecycle();
    for (const auto& [generation, process] : processes_) lifecycle_.adopt(process.slot, process.noted, now());
    if (held) lifecycle_.hold(now());
    lifecycle_.configure(noted_, now());
  }

  // The first actions only, when the controller dies then.
  void carry_out(size_t at_most = SIZE_MAX) {
    for (const Action& action : lifecycle_.take_actions()) {
      if (at_most-- == 0) return;
      const Member* member = lifecycle_.find(action.slot, action.generation);
      if (action.kind == Action::Kind::kSwitched || action.kind == Action::Kind::kWentBack) {
        noted_ = lifecycle_.plan();
        noted_recipes_.insert(noted_.recipe);
      } else if (action.kind == Action::Kind::kStart) {
        EXPECT_FALSE(processes_.contains(action.generation));
        if (member != nullptr) processes_[action.generation] = {.slot = action.slot, .noted = *member};
      } else if (action.kind == Action::Kind::kPublish || action.kind == Action::Kind::kNote) {
        if (member == nullptr) continue;
        // None serves before its recipe was noted to be the current one.
        EXPECT_TRUE(action.kind == Action::Kind::kNote || member->phase != MemberPhase::kUp ||
                    noted_recipes_.contains(member->recipe));
        processes_[action.generation].noted = *member;
        processes_[action.generation].drains = member->phase == MemberPhase::kDraining;
      } else if (action.kind == Action::Kind::kTerminate || action.kind == Action::Kind::kKill) {
        if (member == nullptr) continue;  // it has ended meanwhile
        processes_.at(action.generation).told_to_end = true;
        processes_.at(action.generation).noted = *member;
      }
    }
  }

  std::mt19937_64 random_;
  VirtualClock clock_;
  Lifecycle lifecycle_;
  std::map<uint32_t, Process> processes_;

  uint64_t recipe_ = 1;
  LifecyclePlan noted_;
  std::set<uint64_t> noted_recipes_ = {1};
};

TEST(LifecycleWorldTest, WhateverHappensItServesAndEndsAsItShould) {
  const char* given = std::getenv("TERRACE_SEED");
  const uint64_t first = given != nullptr ? std::strtoull(given, nullptr, 10) : std::random_device()();
  const uint64_t worlds = given != nullptr ? 1 : 50;
  for (uint64_t seed = first; seed < first + worlds && !testing::Test::HasFailure(); ++seed) {
    SCOPED_TRACE("TERRACE_SEED=" + std::to_string(seed));
    World world(seed);
    for (int i = 0; i < 500 && !testing::Test::HasFailure(); ++i) world.step();
    world.settle();
  }
}

}  // namespace
}  // namespace terrace::app
