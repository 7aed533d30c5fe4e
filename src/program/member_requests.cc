// The member and the members of the other servers: the table of what they may ask each
// other, and how this one asks.

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

#include "program/member.h"

namespace terrace::program {
namespace {

using Json = nlohmann::json;

// A clock that is wrong is said again after this time.
constexpr std::chrono::hours kClockSaidAgain{1};
constexpr size_t kMetMax = 256;

constexpr cluster::Askers kMembers{};
constexpr std::string_view kApp[] = {"app"};
constexpr cluster::Askers kAppServers{.roles = kApp};
constexpr cluster::Askers kStrangers{.strangers = true};
// A release may hold what only those who run it shall read.
constexpr std::array<std::string_view, 2> kReleaseRoles{"app", "web"};
constexpr cluster::Askers kReleases{.roles = kReleaseRoles};
// What a server that lags, or is new, or was taken out needs to hear so (answer_state()).
constexpr cluster::Askers kUnlisted{.unlisted = true};

}  // namespace

// A request that is not here is nobody's to ask.
std::span<const Member::PeerRequest> Member::peer_requests() {
  static constexpr std::array kAll{
      PeerRequest{"join", kStrangers, &Member::answer_join},
      PeerRequest{"renew", kMembers, &Member::answer_renew},
      PeerRequest{"renew-ended", kStrangers, &Member::answer_renew_ended},
      PeerRequest{"state", kUnlisted, &Member::answer_state},
      PeerRequest{"token", kMembers, &Member::answer_peer_token},
      PeerRequest{"rotate", kMembers, &Member::answer_peer_rotate},
      PeerRequest{"authority-key", kMembers, &Member::answer_authority_key},
      PeerRequest{"status", kMembers, &Member::answer_peer_status},
      PeerRequest{"logs", kMembers, &Member::answer_peer_logs},
      PeerRequest{"store-secret", kMembers, &Member::answer_store_secret},
      PeerRequest{"secrets", kAppServers, &Member::answer_secrets},
      PeerRequest{"control", kMembers, &Member::answer_peer_control},
      PeerRequest{"served", kMembers, &Member::answer_peer_served},
      PeerRequest{"site-check", kMembers, &Member::answer_site_check},
      PeerRequest{"release-pack", kReleases, &Member::answer_release_pack},
      PeerRequest{"deploy-step", kReleases, &Member::answer_deploy_step},
  };
  return kAll;
}

Task<void> Member::answer(cluster::Channel& channel, cluster::Asker asker, std::string name,
                          std::string message) {
  const std::span<const PeerRequest> all = peer_requests();
  const auto found = std::ranges::find(all, name, &PeerRequest::name);
  std::string answered;
  if (found == all.end()) {
    answered = failure_line(fmt::format("this server's version of Terrace does not know `{}`", name));
  } else if (const auto reason = refusal(found->askers, asker)) {
    say_request_refused(asker, name, certificates::text_of(*reason));
    answered = failure_line(fmt::format("`{}` is refused: {}", name, certificates::text_of(*reason)));
  } else {
    PeerTalk talk{.channel = channel, .asker = asker, .message = message};
    answered = co_await (this->*found->answer)(talk);
  }
  const Result<void> sent = co_await channel.send_message(std::move(answered));
  if (!sent)
    log_.debug("another server did not take its answer",
               {{"who", asker.name()}, {"request", name}, {"error", describe(sent.error())}});
}

void Member::say_request_refused(const cluster::Asker& asker, std::string_view request,
                                 std::string_view why) {
  channel_.say_refused(asker, fmt::format("`{}`: {}", request, why), "refused a request of another server");
}

void Member::met(const cluster::Hello& theirs, std::chrono::milliseconds clock_difference) {
  if (!met_.contains(theirs.server) && met_.size() >= kMetMax) return;
  met_[theirs.server] = {.when = reactor_.now(), .clock_difference = clock_difference};
  if (std::chrono::abs(clock_difference) <= cluster::kClockDifferenceMax) return;
  Time& said = clock_said_[theirs.server];
  if (said != Time() && reactor_.now() - said < kClockSaidAgain) return;
  said = reactor_.now();
  log_.warning(
      "the clock of another server differs from ours",
      {{"server", theirs.server},
       {"ahead_seconds", std::chrono::duration_cast<std::chrono::seconds>(clock_difference).count()}});
}

std::vector<std::string> Member::other_servers() const {
  std::vector<std::string> names;
  if (!site_) return names;
  for (const topology::Server& server : site_->servers) {
    if (!identity_ || server.name != identity_->server) names.push_back(server.name);
  }
  return names;
}

// kUnavailable when the request has certainly not reached the other server.
Task<Result<Reply>> Member::ask_server(Asking asking) {
  const auto unreached = [](const char* text) { return fail(Code::kUnavailable, "channel", text); };
  if (!site_) co_return unreached("this server knows no site yet");
  const topology::Server* server = find_server(*site_, asking.server);
  if (server == nullptr) co_return unreached("no server of that name in the site file");
  const Result<net::Address> address = net::Address::parse(channel_address(*site_, *server));
  if (!address) co_return unreached("its address cannot be read");
  cluster::Call call(reactor_);
  const auto open = calls_.insert(calls_.end(), {asking.server, &call});
  const cluster::Credentials credentials = asking.as_stranger ? stranger_ : credentials_;
  const Time greeting_deadline =
      std::min(asking.greeting_deadline.value_or(asking.deadline), asking.deadline);
  Result<void> done = co_await call.open(credentials, asking.server, *address, greeting_deadline);
  const bool reached = done.has_value();
  if (reached) {
    met(call.theirs(), call.clock_difference());
    done = co_await call.channel().send_message(asking.message);
    if (done && asking.sends_data) done = co_await call.channel().send_data(asking.data);
    if (done && asking.sends_data) done = co_await call.channel().send_end();
  }
  Result<Reply> reply;
  if (!done) {
    reply = std::unexpected(done.error());
  } else {
    reply =
        co_await receive_reply(call.channel(), asking.data_bytes_max, asking.conversation, asking.deadline);
  }
  if (!reply && reply.error().code == Code::kTimeout) {
    reply.error().place = reached ? "answer" : "connect";
    reply.error().text = "no answer in time";
  }
  if (!reached) reply.error().code = Code::kUnavailable;
  calls_.erase(open);
  co_return reply;
}

Task<void> Member::ask_into(Asking asking, ServerReply& reply) {
  reply.reply = co_await ask_server(std::move(asking));
}

Task<std::vector<ServerReply>> Member::ask_all(std::vector<std::string> servers, std::string message,
                                               AskLimits limits) {
  std::vector<ServerReply> replies;
  for (std::string& server : servers)
    replies.push_back({.server = server, .reply = fail(Code::kUnavailable, "channel")});
  Scope asked;
  for (ServerReply& reply : replies) {
    Asking asking{.server = reply.server,
                  .message = message,
                  .data_bytes_max = limits.data_bytes_max,
                  .deadline = reactor_.now() + limits.answer,
                  .greeting_deadline = reactor_.now() + limits.greeting};
    asked.spawn(ask_into(std::move(asking), reply));
  }
  co_await asked.join();
  co_return replies;
}

}  // namespace terrace::program
