#pragma once

// What the instances have answered, summed over the cores.
//
// Each core counts per instance; here the counters are kept for as long as a core may
// still write to them, and then added to those of the instance's slot, so that what
// Prometheus reads never goes back, and to those of its recipe, so that a release that
// crashes cannot hide what it failed at. One thread at a time; the cores only
// touch the counters themselves.

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "app/backends.h"
#include "monitor/request_metrics.h"
#include "program/records.h"

namespace terrace::program {

class InstanceTally {
 public:
  using PerCore = std::vector<std::shared_ptr<app::InstanceMetrics>>;

  explicit InstanceTally(size_t cores = 0) : cores_(cores) {}
  // Takes note of an instance; what each core shall count into. Empty when it is said to be
  // down and was not known.
  PerCore note(const InstanceUpdate& record);
  // The part of Stats that is about instances and recipes.
  void write(Stats& stats);
  // By slot.
  std::vector<monitor::InstanceTotals> totals();

 private:
  struct Count {
    uint64_t requests = 0;
    uint64_t failures = 0;
    uint64_t errors = 0;
    int64_t in_flight = 0;
    monitor::HistogramTotals duration;

    void add(const Count& more);
  };
  struct Generation {
    uint32_t number = 0;
    uint64_t recipe = 0;
    InstanceState state = InstanceState::kStarting;
    PerCore per_core;

    Count count() const;
    bool is_forgotten() const;
  };
  struct Slot {
    std::string name;
    uint32_t newest = 0;
    uint64_t starts = 0;
    Count past;
    std::vector<Generation> generations;
  };
  struct Recipe {
    uint64_t recipe = 0;
    Count past;
  };

  void fold();
  void note_recipe(uint64_t recipe);
  Recipe* find(uint64_t recipe);
  bool lives(uint64_t recipe) const;

  size_t cores_;
  std::map<uint32_t, Slot> slots_;
  std::vector<Recipe> recipes_;  // oldest first
};

}  // namespace terrace::program
