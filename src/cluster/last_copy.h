#pragma once

#include "base/log.h"
#include "cluster/placement.h"
#include "cluster/published.h"
#include "reactor/offload.h"
#include "reactor/scope.h"

namespace terrace::cluster {

// What every server goes on with when nobody answers: the last it saw of the shared
// state, in memory and on disk, in <folder>/last-copy. The file is a beginning of a
// journal (journal.h): from it a coordinator can be made when the others are lost.
//
// It is always the state of one moment, perhaps an old one, and never goes back.
class LastCopy {
 public:
  // Changes that come within this time are written to disk together.
  static constexpr Duration kWritePause = std::chrono::milliseconds(200);
  // Before it is tried again when nobody answers.
  static constexpr Duration kRetryPause = std::chrono::milliseconds(500);

  LastCopy(Reactor& reactor, const Log& log, std::string folder);
  // Reads what is on disk; nothing there is no error. kInvalid: damaged, and treated as
  // if nothing were there.
  Result<void> load();
  // Follows a watch of everything until close().
  void follow(std::unique_ptr<StateWatch> watch);
  Task<void> close();

  const Entries& entries() const { return published_.entries(); }
  // Follows the copy: tells what is known at once, also when nobody answers.
  std::unique_ptr<StateWatch> watch(std::string prefix) { return published_.watch(std::move(prefix)); }
  // When somebody who holds the state last answered; none yet in the life of this process.
  std::optional<Time> heard() const { return heard_; }
  // Who held the state, as far as known here; written with the copy.
  const Placement& placement() const { return placement_; }
  void place(const Placement& placement);

 private:
  class Save;
  Task<void> run(std::unique_ptr<StateWatch> watch);
  Task<void> keep();

  Reactor& reactor_;
  const Log& log_;
  std::string path_;
  Published published_;
  Placement placement_;
  Offload disk_;
  Event changed_;
  Event stopped_;
  std::optional<Time> heard_;
  Scope scope_;
};

}  // namespace terrace::cluster
