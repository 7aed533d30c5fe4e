// The member's part about certificates that have ended, because a server was off for longer
// than its one held. Who has none that holds is a stranger to the others and may ask for one
// thing: another certificate, for the key that it has joined with. Whoever else asks in its
// name gets nothing of use, as it has not that key.
//
// When all voters of etcd were off for so long, nobody can write a new certificate down before
// it is given out: etcd needs certificates, too. Then a server with the authority's key signs
// by its last copy, itself first, for a short time; it writes down what it has signed as soon
// as it can, so that it can be revoked.
//
// A server that alone was off for too long joins again with a token: a key from an old disk
// is worth nothing while the site stands. Only of a site that was off as a whole, as the
// certificate of the server that signs had ended as well or nobody holds the shared state, do
// those come back that come within the next hour.

#include <algorithm>
#include <nlohmann/json.hpp>

#include "program/json_value.h"
#include "program/member.h"

namespace terrace::program {

using Json = nlohmann::json;

namespace {

// Until the servers have found each other again; then each asks for an ordinary one.
constexpr std::chrono::minutes kShortLife{10};
// The shared state answers in this time, or is not there.
constexpr std::chrono::seconds kStateLook{2};
// Whoever holds it was heard in this time: the site stands, and only does not answer now.
constexpr std::chrono::hours kStands{1};
// Between two certificates for one server whose former one has ended.
constexpr std::chrono::seconds kEndedPause{1};
constexpr size_t kUnrecordedMax = 256;
// For so long after the site was off the others come back.
constexpr std::chrono::hours kOthersComeBack{1};

}  // namespace

bool Member::certificate_has_ended() const { return wall() >= own_->identity.expires; }

// As issue(), also when what the servers share cannot be reached.
Task<std::string> Member::issue_to_ended(std::string name, std::string text, std::string& certificate) {
  const Result<std::optional<cluster::Entry>> reached =
      co_await state_->get(server_key(name), reactor_.now() + kStateLook);
  const bool own = name == identity_->server;
  const bool was_off = site_was_off_ != Time() && reactor_.now() - site_was_off_ < kOthersComeBack;
  const bool stands = reached || state_->heard(kStands);
  if (stands && !own && !was_off)
    co_return "its certificate has ended while the site stood: it has to join again, with `terrace token`";
  if (own) site_was_off_ = reactor_.now();
  if (reached) {
    std::string problem =
        co_await issue(std::move(name), std::move(text), certificates::Use::kServer, certificate);
    co_return problem;
  }
  const topology::Server* server = find_server(*site_, name);
  const auto known = servers_.find(name);
  if (server == nullptr || known == servers_.end()) co_return name + " is no member of the site any more";
  const Result<certificates::Request> request = certificates::Request::parse(text);
  if (!request) co_return describe(request.error());
  if (known->second.key != request->key_hash()) co_return "it asks with another key than it has joined with";
  if (unrecorded_.size() >= kUnrecordedMax) co_return "there are too many that could not be written down";
  IssuedCertificate issued;
  const std::chrono::milliseconds life = std::min(certificate_life(), std::chrono::milliseconds(kShortLife));
  Result<std::string> signed_one = sign(*request, *server, life, issued);
  if (!signed_one) co_return describe(signed_one.error());
  site_was_off_ = reactor_.now();
  unrecorded_.push_back({name, issued});
  certificate = *std::move(signed_one);
  log_.warning("signed a short certificate by the last copy of what the servers share",
               {{"server", name}, {"serial", issued.serial}});
  co_return "";
}

// {"request": "renew-ended", "server": "web2", "certificate_request": "…"}, of a stranger.
Task<std::string> Member::answer_renew_ended(PeerTalk& talk) {
  const Json json = Json::parse(talk.message, nullptr, false);
  const auto name = value_of<std::string>(json, "server");
  const auto request = value_of<std::string>(json, "certificate_request");
  std::string certificate;
  std::string problem;
  const auto known = servers_.find(name);
  if (!authority_) {
    problem = identity_->server + " does not hold the authority's key";
  } else if (!listed(name) || known == servers_.end()) {
    problem = "no server of the site has that name";
  } else if (Time& answered = ended_answered_[name];
             answered != Time() && reactor_.now() - answered < kEndedPause) {
    problem = "it has just asked";
  } else {
    answered = reactor_.now();
    problem = co_await issue_to_ended(name, request, certificate);
  }
  if (!problem.empty()) {
    channel_.say_refused(talk.asker, problem, "refused a server whose certificate has ended");
    co_return failure_line(problem);
  }
  log_.info("a server whose certificate had ended has a new one",
            {{"server", name}, {"from", talk.asker.address()}});
  co_return Json({{"ok", true}, {"certificate", certificate}}).dump();
}

// What was signed without the shared state. Of a server that was revoked meanwhile: revoked.
Task<void> Member::record_unrecorded() {
  while (!unrecorded_.empty()) {
    const auto [name, issued] = unrecorded_.front();
    const Result<cluster::Snapshot> all = co_await state_->list("", soon());
    if (!all) co_return;
    cluster::Commit commit;
    const cluster::Entry* entry = all->find(server_key(name));
    if (entry != nullptr) {
      Result<ServerValue> value = parse_server(entry->value);
      if (!value) co_return;
      value->certificates.push_back(issued);
      commit = {.conditions = {{entry->key, entry->version}}, .writes = {{entry->key, to_json(*value)}}};
    } else {
      const cluster::Entry* before = all->find(kRevokedKey);
      RevokedValue revoked;
      if (before != nullptr) revoked = parse_revoked(before->value).value_or(RevokedValue{});
      revoked.serials[issued.serial] = issued.expires;
      commit = {.conditions = {{server_key(name), 0},
                               {std::string(kRevokedKey), before != nullptr ? before->version : 0}},
                .writes = {{std::string(kRevokedKey), to_json(revoked)}}};
    }
    const cluster::Committed done = co_await state_->commit(std::move(commit), soon());
    if (!done.done()) co_return;  // keep_authority() tries again
    unrecorded_.erase(unrecorded_.begin());
  }
}

}  // namespace terrace::program
