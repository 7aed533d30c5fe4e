#pragma once

// A lifecycle with a clock of its own, and its actions as short texts.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "app/lifecycle.h"

namespace terrace::app {

inline const char* word(Action::Kind kind) {
  constexpr const char* kWords[] = {"start",         "publish",   "note",        "withdraw",
                                    "terminate",     "kill",      "timed-out",   "unhealthy",
                                    "crash-loop",    "rolled",    "roll-failed", "switched",
                                    "switch-failed", "went-back", "held",        "released"};
  return kWords[static_cast<size_t>(kind)];
}

// What happens to slot 0, generation 1 is "start 0.1".
class LifecycleTest : public testing::Test {
 protected:
  std::vector<std::string> actions() {
    std::vector<std::string> texts;
    for (const Action& action : lifecycle_.take_actions())
      texts.push_back(std::string(word(action.kind)) + " " + std::to_string(action.slot) + "." +
                      std::to_string(action.generation));
    return texts;
  }
  LifecyclePlan plan(uint32_t instances, uint64_t recipe = 1) const {
    return {.instances = instances, .recipe = recipe};
  }
  void advance(Duration by) {
    clock_.advance(by);
    lifecycle_.tick(clock_.now());
  }
  void healthy(uint32_t slot, uint32_t generation) { lifecycle_.healthy(slot, generation, clock_.now()); }
  void unhealthy(uint32_t slot, uint32_t generation) { lifecycle_.unhealthy(slot, generation, clock_.now()); }
  void ended(uint32_t slot, uint32_t generation) { lifecycle_.ended(slot, generation, clock_.now()); }
  void drained(uint32_t slot, uint32_t generation) { lifecycle_.drained(slot, generation, clock_.now()); }
  // Two healthy instances, generations 1 and 2.
  void two_up() {
    lifecycle_.configure(plan(2), clock_.now());
    healthy(0, 1);
    healthy(1, 2);
    actions();
  }
  MemberPhase phase(uint32_t slot, uint32_t generation) const {
    return lifecycle_.find(slot, generation)->phase;
  }

  VirtualClock clock_;
  Lifecycle lifecycle_;
};

}  // namespace terrace::app
