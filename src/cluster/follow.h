#pragma once

// What one server has to do next to be what the site wants of it. Pure: the member looks
// at the shared state and at its own server, asks here, does one step and looks again. So
// a server that was down, one that lost its power in the middle of a change and one that
// has just joined all take the same way.

#include <cstdint>
#include <optional>
#include <vector>

#include "base/clock.h"
#include "cluster/shared.h"
#include "cluster/state.h"

namespace terrace::cluster {

// By the shared state, or its last copy.
struct Wanted {
  int64_t version = 0;  // of the site file; 0: none is recorded
  bool of_site = true;  // that version names this server
  bool drained = false;
  bool has_release = false;  // whether one is recorded; 0 is none, the site's own folder
  uint32_t release = 0;
  std::optional<uint32_t> trial;  // of the deploy under way: it decides who serves that
};

// By this server's controller.
struct Here {
  int64_t version = 0;
  uint32_t release = 0;
  std::vector<uint32_t> ready;  // releases that could serve
  bool drained = false;
  bool busy = false;  // with a step of a deploy, a restore or the like
};

enum class FollowStep : uint8_t { kNothing, kDrain, kTakeSite, kFetchRelease, kSwitchRelease, kUndrain };
FollowStep next_step(const Wanted& wanted, const Here& here);

// Whoever leads a deploy writes its note anew every kDeployBeat. After kDeployPatience
// without a new one it is taken to be gone, by any server's own clock.
constexpr Duration kDeployBeat = std::chrono::seconds(1);
constexpr Duration kDeployPatience = std::chrono::seconds(6);

// Whether a deploy's note is still kept alive.
class DeployPulse {
 public:
  // The note as it is seen now; version 0: there is none.
  void see(Version version, Time now);
  bool is_dead(Time now) const { return version_ != 0 && now - since_ >= kDeployPatience; }

 private:
  Version version_ = 0;
  Time since_;
};

}  // namespace terrace::cluster
