#pragma once

#include <deque>
#include <memory>

#include "base/log.h"
#include "cluster/journal.h"
#include "cluster/local_state.h"
#include "reactor/offload.h"
#include "reactor/scope.h"

namespace terrace::cluster {

// The state of a site of one or two servers: one of them, the coordinator, decides on
// every commit, one after the other, and has it on disk before it answers. The others
// ask it and keep copies.
//
// Reads see what is on disk and nothing else, so what was read cannot be lost.
class Coordinator final : public LocalState {
 public:
  // Commits that wait for the disk, at most; one more is refused.
  static constexpr size_t kWaitingMax = 256;
  static constexpr size_t kWaitingBytesMax = 8 * kCommitBytesMax;

  // In memory only, for tests.
  Coordinator(Reactor& reactor, const Log& log, const Snapshot& entries);
  // From what Journal::open() or create() gave.
  Coordinator(Reactor& reactor, const Log& log, std::unique_ptr<Journal> journal, Journal::Contents contents);
  // Before it is destroyed. Who waits gets an answer.
  Task<void> close();

  Task<Result<std::optional<Entry>>> get(std::string key, Time deadline) override;
  Task<Result<Snapshot>> list(std::string prefix, Time deadline) override;
  Task<Committed> commit(Commit commit, Time deadline) override;

  Published& published() override { return published_; }
  bool healthy() const override { return objection() == nullptr; }
  // When that is more than we have, our disk is an old one that was put back: what we
  // answered since is lost here, and others have it. Then nothing is read or written here;
  // one of the others takes over (SharedState::take_over()).
  void seen(Version version) override;
  const Placement& placement() const override { return placement_; }
  // The state is being handed over: nothing is read or written here meanwhile.
  bool moving() const { return moving_; }
  // Writes down who holds the state from here on; with `moving` who shall hold it. The
  // same outcomes as of a commit. The placement that it was moving to, without `moving`:
  // the state has gone there, and nothing is read or written here any more.
  Task<Committed> place(Placement placement, bool moving, Time deadline);
  // The disk failed so that nobody knows what is on it: only a new start of the process
  // can tell.
  bool failed() const { return journal_ != nullptr && journal_->broken(); }

 private:
  struct Pending;
  class Append;
  const char* objection() const;
  Task<Committed> enqueue(std::shared_ptr<Pending> pending, Time deadline);
  Task<void> run();
  Task<void> decide(Pending& pending);
  Task<Result<void>> write(Record record);
  Task<void> begin_anew();

  Reactor& reactor_;
  const Log& log_;
  Published published_;
  Placement placement_;
  bool moving_ = false;
  std::unique_ptr<Journal> journal_;
  Offload disk_;
  std::deque<std::shared_ptr<Pending>> waiting_;
  size_t waiting_bytes_ = 0;
  bool behind_ = false;
  Event wake_;
  bool closing_ = false;
  Scope scope_;
};

}  // namespace terrace::cluster
