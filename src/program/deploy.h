#pragma once

// One deploy or rollback while it is under way: what the controller's coroutine for it
// (controller_deploy.cc) shares with the rest of the controller. There is one at most.

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>

#include "base/clock.h"
#include "program/controller.h"
#include "program/conversation.h"
#include "program/releases.h"
#include "reactor/mailbox.h"
#include "topology/site.h"

namespace terrace::program {

struct Deploy {
  Deploy(Reactor& reactor, Conversation& conversation)
      : talk(conversation), began(reactor.now()), changed(reactor) {}

  Conversation& talk;  // with the client, who may have left
  uint32_t number = 0;
  std::string by;  // who deploys, as the client says
  Time began;
  int64_t since = 0;  // the same, in seconds since 1970
  bool rollback = false;

  std::string phase;                   // "build"
  std::string job;                     // that runs now; empty: none
  std::deque<std::string> last_lines;  // of what failed
  bool cancelled = false;              // asked for, before the switch

  std::shared_ptr<const topology::Site> site;    // of the release
  std::shared_ptr<const topology::Site> before;  // that served until the switch
  ReleaseTable next;                             // once switched …
  ReleaseTable back;                             // … and once it went back
  std::string linked_from;  // the site's folder, when that served until now and [app] writable is used
  uint64_t bytes = 0;       // of the release's files
  BakePlan bake;

  bool switched = false;
  bool taken_back = false;  // by a rollback in the first minute
  std::optional<bool> switch_result;
  std::string why;  // it did not switch
  Event changed;    // switch_result was set
};

}  // namespace terrace::program
