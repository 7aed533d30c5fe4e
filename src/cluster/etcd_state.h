#pragma once

#include "base/log.h"
#include "cluster/etcd_client.h"
#include "cluster/etcd_json.h"
#include "cluster/local_state.h"
#include "reactor/scope.h"

namespace terrace::cluster {

// The state of a site of three servers or more, in etcd, as one of its voters reaches it.
//
// Who watches does not use etcd's watch: we ask our own member for its revision every
// kPollPause (about 0.4 ms of CPU each) and fetch what changed. A stream through the
// gateway that hangs would look like one on which nothing happens; a question that is
// not answered is noticed (docs/decisions).
class EtcdState final : public LocalState {
 public:
  static constexpr Duration kPollPause = std::chrono::milliseconds(100);
  // How often a majority is asked, to know whether there is one.
  static constexpr Duration kMajorityPause = std::chrono::milliseconds(1000);
  static constexpr Duration kQuestionMax = std::chrono::milliseconds(1500);
  // Between two looks at how much of its quota etcd has used, and how long making room may
  // take (etcd_room.h).
  static constexpr Duration kRoomPause = std::chrono::seconds(10);
  static constexpr Duration kRoomMax = std::chrono::seconds(5);
  // Without an answer of a majority for so long we are not healthy.
  static constexpr Duration kHealthyFor = std::chrono::milliseconds(3000);

  EtcdState(Reactor& reactor, const Log& log, EtcdClient& client);
  Task<void> close();

  Task<Result<std::optional<Entry>>> get(std::string key, Time deadline) override;
  Task<Result<Snapshot>> list(std::string prefix, Time deadline) override;
  Task<Committed> commit(Commit commit, Time deadline) override;
  Published& published() override { return published_; }
  const Placement& placement() const override { return view_.placement; }
  // A majority answered lately, and this etcd holds the state.
  bool healthy() const override;
  // A majority answered lately, whether or not the state is here already.
  bool has_majority() const;

  // Replaces the placement if its key still has this revision, from which the new one was
  // made: hands the state over, or names other voters.
  Task<Committed> place(Placement placement, int64_t revision, Time deadline);
  const EtcdView& view() const { return view_; }

 private:
  Task<Result<EtcdAnswer>> transaction(std::string body, Time deadline);
  Task<Result<EtcdAnswer>> read(std::string body, Time deadline);
  Task<Committed> write(std::string body, Version base, Time deadline);
  Task<void> poll();
  Task<void> look();
  Task<void> look_for_room();
  Task<void> fetch();
  Result<void> take(const EtcdAnswer& answer);

  Reactor& reactor_;
  const Log& log_;
  EtcdClient& client_;
  Published published_;
  EtcdView view_;
  int64_t fetched_ = 0;   // etcd's revision when it was last asked for changes
  int64_t revision_ = 0;  // the one that published_ shows; 0: none
  Version base_ = 0;      // of the placement with which it shows it
  Time asked_majority_;
  Time asked_room_;
  std::optional<Time> majority_;  // last answered
  Event wake_;
  bool closing_ = false;
  Scope scope_;
};

}  // namespace terrace::cluster
