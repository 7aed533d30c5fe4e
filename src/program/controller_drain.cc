// The controller's part about draining this server: it answers what it has and takes no
// new connection, until it is told otherwise. Its application goes on running.

#include <algorithm>
#include <nlohmann/json.hpp>

#include "program/controller.h"

namespace terrace::program {
namespace {

using Json = nlohmann::json;
using std::chrono::milliseconds;

constexpr milliseconds kLook{100};
// By then the worker has closed its listening sockets and counted who came to them last.
constexpr milliseconds kFirstLook{250};
// The worker closes a listening socket a little after it was given up (core.cc).
constexpr int kListenAttempts = 20;

std::string line_of(const Json& json) { return json.dump() + "\n"; }

}  // namespace

// Answered when no connection is open any more, or after `limit`.
Task<std::string> Controller::answer_drain(Duration limit) {
  if (!site_ || !complete_) co_return line_of({{"ok", false}, {"error", "the site has not started yet"}});
  const Time deadline = reactor_.now() + limit;
  if (!std::exchange(drained_, true)) log_.info("this server is drained");
  // First the answers that say so, then no more connections.
  tell_worker(Drain{.drains = 1});
  drop_addresses(*site_);
  co_await sleep(reactor_, kFirstLook);
  for (;;) {
    co_await refresh_stats();
    if (!drained_ || !worker_ || connections_open() == 0 || reactor_.now() >= deadline) break;
    co_await sleep(reactor_, kLook);
  }
  if (!drained_) co_return line_of({{"ok", false}, {"error", "it was undrained meanwhile"}});
  co_return line_of({{"ok", true}, {"connections", worker_ ? connections_open() : 0}});
}

// Who cannot be reached is drained still, so that it is seen, and tried again.
Task<std::string> Controller::answer_undrain() {
  if (!site_ || !complete_) co_return line_of({{"ok", false}, {"error", "the site has not started yet"}});
  const bool was_drained = std::exchange(drained_, false);
  tell_worker(Drain{.drains = 0});
  const std::string problem = co_await listen_again();
  if (problem.empty()) {
    if (was_drained) log_.info("this server is no longer drained");
    co_return line_of({{"ok", true}});
  }
  if (was_drained && !std::exchange(drained_, true)) tell_worker(Drain{.drains = 1});
  co_return line_of({{"ok", false}, {"error", problem}});
}

Task<std::string> Controller::listen_again() {
  std::string problem;
  for (int attempt = 0; attempt < kListenAttempts; ++attempt) {
    const std::shared_ptr<const topology::Site> site = site_;
    const bool bound = co_await take_addresses(site, problem);
    if (bound || drained_) break;
    co_await sleep(reactor_, kLook);
  }
  co_return drained_ ? "it was drained meanwhile" : problem;
}

}  // namespace terrace::program
