#pragma once

#include <map>

#include "cluster/shared_state.h"
#include "cluster/state_fixture.h"

namespace terrace::cluster {

// For tests: servers of a site that share its state, in one process.

// The system's time, and what a test adds to it.
class SkippingClock final : public Clock {
 public:
  Time now() const override { return real_.now() + skipped_; }
  WallTime wall() const override { return real_.wall(); }
  void skip(Duration by) { skipped_ += by; }

 private:
  SystemClock real_;
  Duration skipped_{0};
};

// Requests from one server to the others of this process.
class Wires final : public StateTransport {
 public:
  Wires(std::string asker, std::map<std::string, SharedState*>& servers)
      : asker_(std::move(asker)), servers_(servers) {}
  Task<Result<std::string>> ask(std::string server, std::string request, Time deadline) override {
    const auto found = servers_.find(server);
    if (found == servers_.end()) co_return fail(Code::kUnavailable, "connect");
    std::string answer = co_await found->second->answer(asker_, std::move(request), deadline);
    co_return answer;
  }

 private:
  std::string asker_;
  std::map<std::string, SharedState*>& servers_;
};

// One server of a site, with a disk of its own and `etcd` for its etcd.
struct Server {
  Server(Reactor& reactor, const Log& log, std::string name, std::map<std::string, SharedState*>& servers,
         EtcdOptions etcd = {})
      : wires(name, servers), state(reactor, log, wires, {name, folder.path, std::move(etcd)}) {}
  TestFolder folder;
  Wires wires;
  SharedState state;
};

}  // namespace terrace::cluster
