// The member's part about a new authority in the place of the one before, while the site
// serves. One server that holds the authority's key leads:
//
//   trusting   it has made the new one; every server trusts both. When all have said so:
//   signing    it signs with the new one; every server gets a certificate from it, and one
//              for traffic. When all have said so:
//   (none)     only the new one is trusted; the other holder fetches its key.
//
// Each step is one compare-and-swap in the shared state, and what must not be lost is on
// disk before it. A server that is down holds the rotation up, and nothing else.
//
// When the leader was revoked, was taken out of the site or has lost the new key, another
// holder gives the rotation up: while all only trust the new authority it is dropped; when
// it signs already, the rotation turns round, and goes to the authority that was there
// before in the same way.

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "program/json_value.h"
#include "program/member.h"

namespace terrace::program {

using Json = nlohmann::json;

namespace {

std::string text_of(const Json& json) { return json.dump(-1, ' ', false, Json::error_handler_t::replace); }

const char* word_of(RotationPhase phase) {
  return phase == RotationPhase::kTrusting  ? "trusting"
         : phase == RotationPhase::kSigning ? "signing"
                                            : "none";
}

bool trusts_it(const ServerValue& server, const std::string& fingerprint) {
  return std::ranges::find(server.trusts, fingerprint) != server.trusts.end();
}

// Who has none for traffic, as an older version, keeps nobody from going on.
bool is_signed_by_it(const ServerValue& server, const std::string& fingerprint) {
  const bool traffic = server.traffic_signer.empty() || server.traffic_signer == fingerprint;
  return server.signer == fingerprint && traffic;
}

}  // namespace

Task<std::string> Member::answer_certificates(std::string, Conversation&) {
  if (!identity_) co_return failure_line(why_not_);
  if (!authority_value_) co_return failure_line("nothing is known of the site's authority yet");
  Json servers = Json::array();
  for (const auto& [name, server] : servers_) {
    WallTime expires;
    for (const IssuedCertificate& each : server.certificates) {
      if (each.use == certificates::Use::kServer) expires = std::max(expires, each.expires);
    }
    servers.push_back({{"name", name},
                       {"expires_seconds", std::chrono::duration<double>(expires - wall()).count()},
                       {"trusts", server.trusts},
                       {"signer", server.signer},
                       {"traffic_signer", server.traffic_signer}});
  }
  Json revoked = Json::array();
  for (const auto& [name, when] : revoked_value_.servers)
    revoked.push_back(
        {{"name", name}, {"age_seconds", std::chrono::duration<double>(wall() - when).count()}});
  const AuthorityValue& value = *authority_value_;
  Json authorities = Json::array();
  for (const certificates::Fingerprint& each : trust_->fingerprints()) authorities.push_back(each.print());
  co_return text_of({{"ok", true},
                     {"site", identity_->site},
                     {"generation", value.generation},
                     {"authorities", authorities},
                     {"holders", value.holders},
                     {"phase", word_of(value.phase)},
                     {"next", value.next},
                     {"servers", servers},
                     {"revoked", revoked}});
}

Task<std::string> Member::answer_rotate(std::string, Conversation&) {
  if (!identity_) co_return failure_line(why_not_);
  if (authority_) {
    std::string begun = co_await begin_rotation();
    co_return begun;
  }
  std::string problem = "no server that holds the authority's key is known";
  const std::vector<std::string> holders = signers();
  for (const std::string& holder : holders) {
    Asking asking{.server = holder, .message = R"({"request":"rotate"})", .deadline = soon()};
    Result<Reply> reply = co_await ask_server(std::move(asking));
    if (reply) co_return reply->message;
    problem = fmt::format("{} does not answer: {}", holder, describe(reply.error()));
  }
  co_return failure_line(problem);
}

Task<std::string> Member::answer_peer_rotate(PeerTalk&) {
  if (!authority_) co_return failure_line(identity_->server + " does not hold the authority's key");
  std::string begun = co_await begin_rotation();
  co_return begun;
}

// One at a time: a second one would take the place of the first one's key on the disk.
Task<std::string> Member::begin_rotation() {
  if (rotation_begins_) co_return failure_line("a rotation has just been asked for");
  rotation_begins_ = true;
  std::string begun = co_await begin_rotation_alone();
  rotation_begins_ = false;
  co_return begun;
}

Task<std::string> Member::begin_rotation_alone() {
  const Result<std::optional<cluster::Entry>> entry =
      co_await state_->get(std::string(kAuthorityKey), soon());
  Result<AuthorityValue> value =
      entry && *entry ? parse_authority((*entry)->value) : fail(Code::kUnavailable, "authority", "not known");
  if (!value) co_return failure_line("what the servers share cannot be reached");
  if (value->phase != RotationPhase::kNone)
    co_return failure_line("a rotation is under way: `terrace certificates` shows who is missing");
  const Result<certificates::Bundle> now = certificates::Bundle::parse(value->bundle);
  Result<certificates::Authority> fresh = certificates::Authority::make(identity_->site, wall());
  Result<certificates::Folder> folder = certificates::Folder::open(next_folder(folders_));
  if (!now || !fresh || !folder) co_return failure_line("no new authority could be made");
  const Result<certificates::Bundle> both = now->with(fresh->certificate_pem());
  if (!both) co_return failure_line(describe(both.error()));
  if (const Result<void> kept = folder->write_authority(*fresh); !kept)
    co_return failure_line(describe(kept.error()));
  value->bundle = both->pem();
  value->phase = RotationPhase::kTrusting;
  value->next = fresh->fingerprint().print();
  value->next_holder = identity_->server;
  next_authority_ = *std::move(fresh);
  const cluster::Committed done =
      co_await state_->put(std::string(kAuthorityKey), to_json(*value), (*entry)->version, soon());
  if (!done.done()) co_return failure_line(fmt::format("it could not be written down: {}", done.text));
  log_.info("a new authority takes the place of the one before", {{"fingerprint", value->next}});
  co_return text_of({{"ok", true}, {"fingerprint", value->next}});
}

// Those that were taken out of the site are not waited for: nobody accepts them any more.
bool Member::all_servers(bool (*hold)(const ServerValue& server, const std::string& fingerprint)) const {
  return std::ranges::all_of(servers_, [&](const auto& each) {
    return !listed(each.first) || hold(each.second, authority_value_->next);
  });
}

// The authority that a rotation goes to, where this server has its key.
const certificates::Authority* Member::next_signer() const {
  const auto is_next = [&](const std::optional<certificates::Authority>& one) {
    return one && one->fingerprint().print() == authority_value_->next;
  };
  if (is_next(next_authority_)) return &*next_authority_;
  return is_next(authority_) ? &*authority_ : nullptr;
}

// Whoever leads it cannot end it; in words, or "".
std::string Member::why_rotation_is_stuck(const AuthorityValue& value, const cluster::Snapshot& all) const {
  if (value.phase == RotationPhase::kNone) return "";
  const std::string& leader = value.next_holder;
  if (all.find(server_key(leader)) == nullptr) return leader + " was revoked";
  if (leader == identity_->server && next_signer() == nullptr) return leader + " has lost the new key";
  const cluster::Entry* entry = all.find(kSiteKey);
  const Result<cluster::SiteVersion> site =
      entry != nullptr ? cluster::parse_site_version(entry->value) : fail(Code::kNotFound, "site");
  // Our own file may be older than the one that names it.
  if (site && site->text == site_text_ && !listed(leader)) return leader + " was taken out of the site";
  return "";
}

// As a holder of the key that is trusted from before.
Task<void> Member::give_up_stuck_rotation() {
  const std::vector<std::string>& holders = authority_value_->holders;
  const bool holds = authority_ && std::ranges::find(holders, identity_->server) != holders.end();
  if (authority_value_->phase == RotationPhase::kNone || !holds) co_return;
  const bool leads = authority_value_->next_holder == identity_->server;
  if (leads ? next_signer() != nullptr
            : listed(authority_value_->next_holder).has_value() &&
                  servers_.contains(authority_value_->next_holder))
    co_return;
  const Result<cluster::Snapshot> all = co_await state_->list("", soon());
  const cluster::Entry* entry = all ? all->find(kAuthorityKey) : nullptr;
  Result<AuthorityValue> value =
      entry != nullptr ? parse_authority(entry->value) : fail(Code::kNotFound, "authority");
  if (!value) co_return;
  const std::string why = why_rotation_is_stuck(*value, *all);
  const std::string own = authority_->fingerprint().print();
  const Result<certificates::Bundle> bundle = certificates::Bundle::parse(value->bundle);
  if (why.empty() || !bundle || value->next == own || !bundle->trusts(authority_->fingerprint())) co_return;
  if (value->phase == RotationPhase::kTrusting) {
    value->bundle = authority_->certificate_pem();
    value->phase = RotationPhase::kNone;
    value->next.clear();
    value->next_holder.clear();
  } else {
    value->next = own;
    value->next_holder = identity_->server;
  }
  const cluster::Committed done = co_await state_->put(entry->key, to_json(*value), entry->version, soon());
  if (done.done())
    log_.warning("the rotation is given up: the authority of before stays; begin another one",
                 {{"why", why}, {"fingerprint", own}});
}

Task<void> Member::advance_rotation() {
  const AuthorityValue& known = *authority_value_;
  if (known.phase == RotationPhase::kNone || known.next_holder != identity_->server) co_return;
  if (next_signer() == nullptr) co_return;
  const bool trusting = known.phase == RotationPhase::kTrusting;
  if (!all_servers(trusting ? trusts_it : is_signed_by_it)) co_return;
  const Result<std::optional<cluster::Entry>> entry =
      co_await state_->get(std::string(kAuthorityKey), soon());
  if (!entry || !*entry) co_return;
  Result<AuthorityValue> value = parse_authority((*entry)->value);
  if (!value || to_json(*value) != to_json(*authority_value_)) co_return;  // ours is old
  // Who has joined meanwhile counts, too.
  const Result<cluster::Snapshot> all = co_await state_->list("servers/", soon());
  if (!all) co_return;
  for (const cluster::Entry& each : all->entries) {
    if (!listed(each.key.substr(server_key("").size()))) continue;
    const Result<ServerValue> server = parse_server(each.value);
    if (!server || !(trusting ? trusts_it : is_signed_by_it)(*server, value->next)) co_return;
  }
  if (trusting) {
    value->phase = RotationPhase::kSigning;
  } else {
    const certificates::Authority* next = next_signer();
    if (next == nullptr) co_return;
    value->bundle = next->certificate_pem();
    value->phase = RotationPhase::kNone;
    value->generation += 1;
    value->next.clear();
    value->next_holder.clear();
  }
  cluster::Commit commit{.conditions = {{(*entry)->key, (*entry)->version}},
                         .writes = {{(*entry)->key, to_json(*value)}}};
  const cluster::Committed done = co_await state_->commit(std::move(commit), soon());
  if (done.done())
    log_.info(trusting
                  ? "all servers trust the new authority: it signs now"
                  : "all servers have certificates of the new authority: the one before is trusted no more");
}

// The new authority is the only one that is trusted: ours from now on.
void Member::promote_next() {
  const bool replaced = authority_value_->phase == RotationPhase::kNone && next_authority_ &&
                        trust_->trusts(next_authority_->fingerprint());
  if (!replaced) return;
  if (const Result<void> written = files_->write_authority(*next_authority_); !written)
    return log_.error("the new authority's key cannot be written", {{"error", describe(written.error())}});
  authority_ = std::move(next_authority_);
  next_authority_.reset();
  if (const auto folder = certificates::Folder::open(next_folder(folders_))) (void)folder->remove_authority();
}

}  // namespace terrace::program
