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

// One step of a deploy of the whole site, of which this server is one: the member asks for
// them one by one (control.h), each for a release that may come from another server.
struct DeployStep {
  enum class Kind : uint8_t { kBuild, kStage, kMigrate, kSwitch };
  Kind kind = Kind::kBuild;
  uint32_t release = 0;  // only of kSwitch 0: the site's own folder
  std::string by;
  bool bakes = false;  // kSwitch: the release before waits until the new one has proved itself
};

struct Deploy {
  Deploy(Reactor& reactor, Conversation& conversation)
      : talk(conversation), began(reactor.now()), changed(reactor) {}

  Conversation& talk;  // with the client, who may have left
  uint32_t number = 0;
  std::string by;  // who deploys, as the client says
  Time began;
  int64_t since = 0;  // the same, in seconds since 1970
  bool rollback = false;
  std::optional<DeployStep::Kind> step;  // none: it is of this server alone
  bool bakes = true;
  bool fails_release = true;  // when it fails nobody needs the release any more

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
