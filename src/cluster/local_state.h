#pragma once

#include "cluster/published.h"
#include "cluster/state_json.h"

namespace terrace::cluster {

// A back end on this server: other servers may be answered from it.
class LocalState : public State {
 public:
  // The entries as this server sees them at the moment; with etcd they may lag behind.
  virtual Published& published() = 0;
  // Whether it can tell the newest: false when it has lost the others that it needs.
  virtual bool healthy() const = 0;
  // Another server that follows has seen this version.
  virtual void seen(Version) {}
  // Who holds the state, as far as known here.
  virtual const Placement& placement() const = 0;
  std::unique_ptr<StateWatch> watch(std::string prefix) override {
    return published().watch(std::move(prefix));
  }
};

// Answers another server. Not `take`, which is the matter of who owns the back ends.
Task<StateAnswer> answer(LocalState& state, StateRequest request, Time deadline);

}  // namespace terrace::cluster
