#pragma once

// Who is a member of etcd: asked, and changed one step at a time. A server comes in as a
// learner, which has no vote until it has caught up, so that a member that never starts
// costs no majority; only when all that are wanted have a vote do others go.

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "cluster/etcd_client.h"
#include "cluster/etcd_json.h"
#include "cluster/etcd_process.h"

namespace terrace::cluster {

struct EtcdStep {
  enum class Kind : uint8_t { kAdd, kPromote, kRemove };
  Kind kind = Kind::kAdd;
  std::string url;  // kAdd
  uint64_t id = 0;  // else
  bool operator==(const EtcdStep&) const = default;
};

// What to do next so that `wanted`, and nobody else, have a vote; none when that is so.
// `lost`: URLs of members whose disk is empty; they have to come in anew.
std::optional<EtcdStep> next_step(std::span<const EtcdMember> members, std::span<const EtcdPeer> wanted,
                                  std::span<const std::string> lost);

// What may be tried when etcd takes nobody in, as it does while one of its voters is away:
// removes one that is not wanted first, for it may be the one that is away. Etcd itself
// refuses that when those who are left would be too few.
std::optional<EtcdStep> step_instead(const EtcdStep& refused, std::span<const EtcdMember> members,
                                     std::span<const EtcdPeer> wanted);

Task<Result<std::vector<EtcdMember>>> etcd_members(EtcdClient& client, Time deadline);
// kUnavailable: etcd refuses it now, as for a learner that has not caught up yet.
Task<Result<void>> carry_out(EtcdClient& client, EtcdStep step, Time deadline);
// Whether this member leads at the moment: it is the one that changes the others.
Task<Result<bool>> leads(EtcdClient& client, Time deadline);

// "web1=https://10.0.0.1:7401,web2=…": the members as etcd's own settings write them, and
// as the shared key "voters" does, from which a new one learns whom to ask.
std::string to_text(std::span<const EtcdPeer> peers);
std::optional<std::vector<EtcdPeer>> parse_peers(std::string_view text);

}  // namespace terrace::cluster
