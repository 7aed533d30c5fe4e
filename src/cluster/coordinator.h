#pragma once

#include "cluster/published.h"

namespace terrace::cluster {

// The state of a site of one or two servers: one of them, the coordinator, decides on
// every commit. The others ask it and keep copies.
class Coordinator final : public State {
 public:
  // Begins with these entries; a new site with none. In memory only.
  Coordinator(Reactor& reactor, const Snapshot& entries);

  Task<Result<std::optional<Entry>>> get(std::string key, Time deadline) override;
  Task<Result<Snapshot>> list(std::string prefix, Time deadline) override;
  Task<Committed> commit(Commit commit, Time deadline) override;
  std::unique_ptr<StateWatch> watch(std::string prefix) override {
    return published_.watch(std::move(prefix));
  }

  Published& published() { return published_; }

 private:
  Published published_;
};

}  // namespace terrace::cluster
