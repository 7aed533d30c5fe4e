#pragma once

// Whether a recorded history of one register with compare-and-swap could have come from
// a single copy that did one operation at a time, each between its call and its return
// (Herlihy and Wing, Linearizability, 1990). The search is that of Wing and Gong (Testing
// and Verifying Concurrent Objects, 1993) with the states that led nowhere remembered
// (Lowe, Testing for linearizability, 2017). For tests.

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace terrace::cluster {

struct Operation {
  enum class Kind : uint8_t { kRead, kWrite };
  enum class Ending : uint8_t { kDone, kRefused, kUnknown };
  Kind kind = Kind::kRead;
  Ending ending = Ending::kDone;
  // Values are numbers that no two writes of a history share; 0 is "no entry".
  uint64_t value = 0;     // that was read, or is written
  uint64_t expected = 0;  // kWrite: what had to be there
  // Moments on one clock that all clients share. One that was never answered, or whose
  // outcome is unknown, may happen at any time after its call, or not at all.
  uint64_t called = 0;
  uint64_t returned = 0;
};

// Reads that failed, and writes that certainly did not happen, are left out by the caller.
// None: the history is linearizable. Else a few words on where it is not.
std::optional<std::string> violation(const std::vector<Operation>& history);

}  // namespace terrace::cluster
