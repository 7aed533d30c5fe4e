#pragma once

// A deploy or rollback of the whole site while this member leads it (member_rollout.cc).
// There is one at most.

#include <string>

#include "cluster/rollout.h"
#include "cluster/shared.h"
#include "cluster/state.h"
#include "program/conversation.h"

namespace terrace::program {

struct SiteDeploy {
  SiteDeploy(Conversation& conversation, cluster::RolloutPlan plan)
      : talk(conversation), rollout(std::move(plan)) {}

  Conversation& talk;  // with the client, who may have left
  cluster::Rollout rollout;
  std::string id;
  cluster::DeployNote note;
  cluster::Version version = 0;  // of its entry; 0: it is not there any more
  cluster::SharedRelease before;
  bool renewing = false;                // the note, at this moment
  bool recording = false;               // the last commit is under way: the note is left alone
  bool over = false;                    // the note is not kept alive any more
  std::vector<std::string> last_lines;  // of what failed, for people
  Time began;
};

}  // namespace terrace::program
