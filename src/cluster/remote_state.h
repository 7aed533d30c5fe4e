#pragma once

#include "base/log.h"
#include "cluster/placement.h"
#include "cluster/state_json.h"
#include "cluster/state_transport.h"
#include "reactor/reactor.h"

namespace terrace::cluster {

// The shared state of a server that does not hold it: asks those who do, one after the
// other, beginning with the one that answered last, until the deadline. A commit that
// may have arrived somewhere is not tried again: its outcome is unknown.
class RemoteState final : public State {
 public:
  // The part of a deadline that one server gets when there are others to ask.
  static constexpr Duration kAttemptMax = std::chrono::milliseconds(1500);
  // Between two rounds over all servers.
  static constexpr Duration kPause = std::chrono::milliseconds(100);

  // `self` is never asked.
  RemoteState(Reactor& reactor, StateTransport& transport, Placement placement, std::string self = {})
      : reactor_(reactor),
        transport_(transport),
        self_(std::move(self)),
        placement_(std::move(placement)),
        others_(others()) {}

  Task<Result<std::optional<Entry>>> get(std::string key, Time deadline) override;
  Task<Result<Snapshot>> list(std::string prefix, Time deadline) override;
  Task<Committed> commit(Commit commit, Time deadline) override;
  std::unique_ptr<StateWatch> watch(std::string prefix) override;

  // The newest that is known of who holds the state: what we were told, or what a server
  // said that we asked.
  const Placement& placement() const { return placement_; }
  void learn(const Placement& placement);

  // Asks the holders; for a watch or a read, which may be asked again.
  Task<Result<StateAnswer>> ask(StateRequest request, Time deadline);

 private:
  std::vector<std::string> others() const;
  Task<Result<StateAnswer>> ask_one(std::string server, std::string text, Time deadline);
  // The holder to ask in this attempt; none when nobody is known.
  std::optional<std::string> holder(size_t attempt) const;
  Time attempt_deadline(Time deadline, Duration most) const;
  Task<bool> pause(size_t attempt, Time deadline);

  Reactor& reactor_;
  StateTransport& transport_;
  std::string self_;
  Placement placement_;
  std::vector<std::string> others_;  // who holds the state, without ourselves
  size_t preferred_ = 0;
};

}  // namespace terrace::cluster
