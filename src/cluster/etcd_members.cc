#include "cluster/etcd_members.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

namespace terrace::cluster {
namespace {

using nlohmann::json;

bool among(std::span<const EtcdPeer> peers, const std::string& url) {
  return std::ranges::any_of(peers, [&](const EtcdPeer& peer) { return peer.url == url; });
}

// Of one that nobody wants any more.
std::optional<EtcdStep> removal(std::span<const EtcdMember> members, std::span<const EtcdPeer> wanted) {
  for (const EtcdMember& member : members) {
    if (!among(wanted, member.peer_url)) return EtcdStep{.kind = EtcdStep::Kind::kRemove, .id = member.id};
  }
  return std::nullopt;
}

std::string path_of(EtcdStep::Kind kind) {
  switch (kind) {
    case EtcdStep::Kind::kAdd:
      return "/v3/cluster/member/add";
    case EtcdStep::Kind::kPromote:
      return "/v3/cluster/member/promote";
    case EtcdStep::Kind::kRemove:
      return "/v3/cluster/member/remove";
  }
  return "";
}

std::string body_of(const EtcdStep& step) {
  if (step.kind == EtcdStep::Kind::kAdd)
    return json{{"peerURLs", json::array({step.url})}, {"isLearner", true}}.dump();
  return json{{"ID", std::to_string(step.id)}}.dump();
}

}  // namespace

std::optional<EtcdStep> next_step(std::span<const EtcdMember> members, std::span<const EtcdPeer> wanted,
                                  std::span<const std::string> lost) {
  using Kind = EtcdStep::Kind;
  for (const EtcdMember& member : members) {
    if (std::ranges::find(lost, member.peer_url) != lost.end())
      return EtcdStep{.kind = Kind::kRemove, .id = member.id};
  }
  // A learner that nobody wants any more would keep others from coming in: there may be one.
  for (const EtcdMember& member : members) {
    if (!member.learner) continue;
    const Kind kind = among(wanted, member.peer_url) ? Kind::kPromote : Kind::kRemove;
    return EtcdStep{.kind = kind, .id = member.id};
  }
  for (const EtcdPeer& peer : wanted) {
    const bool there =
        std::ranges::any_of(members, [&](const EtcdMember& one) { return one.peer_url == peer.url; });
    if (!there) return EtcdStep{.kind = Kind::kAdd, .url = peer.url};
  }
  return removal(members, wanted);
}

std::optional<EtcdStep> step_instead(const EtcdStep& refused, std::span<const EtcdMember> members,
                                     std::span<const EtcdPeer> wanted) {
  if (refused.kind != EtcdStep::Kind::kAdd) return std::nullopt;
  return removal(members, wanted);
}

Task<Result<std::vector<EtcdMember>>> etcd_members(EtcdClient& client, Time deadline) {
  const Result<EtcdClient::Answer> answer = co_await client.post("/v3/cluster/member/list", "{}", deadline);
  if (!answer) co_return std::unexpected(answer.error());
  if (answer->status != 200) co_return fail(Code::kUnavailable, "etcd", "its members are not known now");
  co_return parse_etcd_members(answer->body);
}

Task<Result<void>> carry_out(EtcdClient& client, EtcdStep step, Time deadline) {
  const Result<EtcdClient::Answer> answer = co_await client.post(path_of(step.kind), body_of(step), deadline);
  if (!answer) co_return std::unexpected(answer.error());
  if (answer->status != 200)
    co_return fail(Code::kUnavailable, "etcd", "a change of members is not taken now");
  co_return Result<void>();
}

Task<Result<bool>> leads(EtcdClient& client, Time deadline) {
  const Result<EtcdClient::Answer> answer = co_await client.post("/v3/maintenance/status", "{}", deadline);
  if (!answer) co_return std::unexpected(answer.error());
  const json status = json::parse(answer->body, nullptr, false);
  if (answer->status != 200 || !status.is_object() || !status.contains("header") ||
      !status["header"].is_object())
    co_return fail(Code::kUnavailable, "etcd", "it does not say who leads");
  const json leader = status.value("leader", json());
  co_return leader.is_string() && leader == status["header"].value("member_id", json());
}

std::string to_text(std::span<const EtcdPeer> peers) {
  std::string text;
  for (const EtcdPeer& peer : peers) text += (text.empty() ? "" : ",") + peer.name + "=" + peer.url;
  return text;
}

std::optional<std::vector<EtcdPeer>> parse_peers(std::string_view text) {
  std::vector<EtcdPeer> peers;
  while (!text.empty()) {
    const std::string_view one = text.substr(0, text.find(','));
    text.remove_prefix(std::min(text.size(), one.size() + 1));
    const size_t equals = one.find('=');
    if (equals == std::string_view::npos || peers.size() == kServersMax) return std::nullopt;
    EtcdPeer peer{std::string(one.substr(0, equals)), std::string(one.substr(equals + 1))};
    const bool http = peer.url.starts_with("https://") || peer.url.starts_with("http://");
    if (!is_key(peer.name) || !http || peer.url.size() > kKeyBytesMax) return std::nullopt;
    peers.push_back(std::move(peer));
  }
  return peers;
}

}  // namespace terrace::cluster
