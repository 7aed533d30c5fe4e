// The member's part about certificates: its own, renewed at a third of its life, those
// that it signs where it holds the authority's key, those that were revoked, and that key.

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <nlohmann/json.hpp>

#include "base/file.h"
#include "certificates/renewal.h"
#include "certificates/revocation_list.h"
#include "program/json_value.h"
#include "program/member.h"

namespace terrace::program {

using Json = nlohmann::json;

namespace {

constexpr int kAttemptsMax = 5;
constexpr size_t kKeyBytesMax = 64 << 10;
constexpr size_t kNumberBytesMax = 32;
constexpr std::chrono::seconds kAuthorityRetry{2};
// Of one server, that have not ended. None of them is forgotten: it could not be revoked.
constexpr size_t kCertificatesMax = 1024;
// While the certificate does not say what it should.
constexpr Duration kOutdatedPause = std::chrono::seconds(1);
constexpr Duration kOutdatedPauseMax = std::chrono::minutes(1);
constexpr Duration kEndedPauseMax = std::chrono::seconds(5);
constexpr Duration kCopyPause = std::chrono::milliseconds(20);
constexpr Duration kTakeOverPause = std::chrono::milliseconds(200);
constexpr std::chrono::seconds kCopyTimeout{15};
constexpr std::chrono::seconds kSeenTimeout{2};

std::string text_of(const Json& json) { return json.dump(-1, ' ', false, Json::error_handler_t::replace); }

// Those that hold on no clock any more need no mention.
void drop_ended(ServerValue& value, WallTime now) {
  std::erase_if(value.certificates,
                [&](const IssuedCertificate& each) { return each.expires + certificates::kBackdated < now; });
  if (value.certificates.size() < kCertificatesMax) return;
  std::erase_if(value.certificates, [&](const IssuedCertificate& each) { return each.expires < now; });
}

// What a server that is revoked may still have in its hands. A used one that finds no room in
// the commit is refused for being used (member_join.cc).
void drop_tokens_of(const std::string& server, const cluster::Snapshot& all, cluster::Commit& commit) {
  for (const cluster::Entry& each : all.entries) {
    if (!each.key.starts_with(token_key("")) || commit.writes.size() + 2 >= cluster::kCommitPartsMax)
      continue;
    const Result<TokenValue> token = parse_token(each.value);
    if (token && token->server == server) commit.writes.push_back({each.key, std::nullopt});
  }
}

}  // namespace

std::chrono::milliseconds Member::certificate_life() const { return site_->cluster.certificate_life; }

// Name and roles are ours to say.
Result<std::string> Member::sign(const certificates::Request& request, const topology::Server& server,
                                 std::chrono::milliseconds life, IssuedCertificate& issued,
                                 certificates::Use use) const {
  const Result<net::Ip> address = net::Ip::parse(server.address);
  if (!address) return std::unexpected(address.error());
  certificates::Subject subject{
      .server = server.name, .roles = role_words(server), .addresses = {*address}, .use = use};
  // etcd looks at the name alone, so a certificate for traffic never has it.
  if (use == certificates::Use::kServer && state_ && shall_vote(server.name))
    subject.names = {std::string(cluster::kVoterName)};
  // A rotation that lost against another server's has left an authority that nobody trusts.
  const bool next = authority_value_ && authority_value_->phase == RotationPhase::kSigning &&
                    next_authority_ && next_authority_->fingerprint().print() == authority_value_->next;
  const certificates::Authority& signer = next ? *next_authority_ : *authority_;
  if (trust_ && !trust_->trusts(signer.fingerprint()))
    return fail(Code::kUnavailable, "authority", "the key on this server is of one that is trusted no more");
  Result<std::string> signed_one = signer.sign(request, subject, wall(), life);
  if (!signed_one) return signed_one;
  const Result<certificates::Identity> identity = certificates::read_identity_pem(*signed_one);
  if (!identity) return std::unexpected(identity.error());
  issued = {.serial = identity->serial, .expires = identity->expires, .use = use};
  return signed_one;
}

// ---- our own

// Also as soon as the site file gives this server other roles or another address, or a
// new authority signs.
Task<void> Member::keep_certificate() {
  Duration wait = certificates::renew_after_start(own_->identity, wall());
  Duration pause = kOutdatedPause;
  for (;;) {
    const Time due = reactor_.now() + wait;
    while (reactor_.now() < due && !certificate_is_outdated()) co_await renew_now_.wait(due - reactor_.now());
    const std::string problem = co_await renew();
    if (problem.empty()) {
      wait = certificates::renew_after(own_->identity, reactor_.random());
      log_.info("this server has a new certificate", {{"serial", own_->identity.serial}});
    } else {
      wait = certificates::retry_after(own_->identity, reactor_.random());
      log_.warning("the certificate of this server could not be renewed; it is tried again",
                   {{"why", problem}});
    }
    // Whoever signs may not know yet what we know; it must not sign without end.
    if (certificate_is_outdated()) {
      co_await sleep(reactor_, pause);
      pause = std::min(2 * pause, certificate_has_ended() ? kEndedPauseMax : kOutdatedPauseMax);
    } else {
      pause = kOutdatedPause;
    }
  }
}

// Than the site file gives this server.
bool Member::has_other_roles(const certificates::Identity& identity) const {
  const topology::Server* own = own_entry();
  return own != nullptr && role_words(*own) != identity.roles;
}

bool Member::certificate_is_outdated() const {
  const bool signing = authority_value_ && authority_value_->phase == RotationPhase::kSigning;
  const bool lacks_vote = shall_vote(identity_->server) &&
                          !certificates::has_dns_name(own_->certificates_pem, cluster::kVoterName);
  return certificate_has_ended() || has_other_roles(own_->identity) || lacks_vote ||
         (signing && own_signer() != authority_value_->next);
}

std::string Member::own_signer() const {
  const auto signer = certificates::signer_of(own_->certificates_pem);
  return signer ? signer->print() : "";
}

// Whom to ask for a certificate, in this order: during a rotation who signs with the new
// authority. A server that has nothing of what the servers share yet asks each of them.
std::vector<std::string> Member::signers() const {
  if (!authority_value_) {
    std::vector<std::string> all;
    for (const topology::Server& each : site_->servers) all.push_back(each.name);
    return all;
  }
  std::vector<std::string> holders = authority_value_->holders;
  if (authority_value_->phase == RotationPhase::kSigning) {
    std::erase(holders, authority_value_->next_holder);
    holders.insert(holders.begin(), authority_value_->next_holder);
  }
  return holders;
}

Task<std::string> Member::renew() {
  const Result<certificates::PrivateKey> key = files_->key();
  const Result<std::string> request = key ? key->request_pem() : std::unexpected(key.error());
  if (!request) co_return describe(request.error());
  std::string certificate;
  const std::string problem = co_await obtain(*request, certificates::Use::kServer, certificate);
  if (certificate.empty()) co_return problem;
  if (const Result<void> written = files_->write_certificate(certificate); !written)
    co_return describe(written.error());
  Result<certificates::Folder::Own> own = files_->own();
  if (!own) co_return describe(own.error());
  own_ = *std::move(own);
  const Result<void> used = use_credentials();
  if (!used) co_return describe(used.error());
  scope_.spawn(report_trust());
  co_return "";
}

// From whoever signs; empty, and why, when nobody does. One for traffic is for a server that
// has a certificate of its own, by which it is known.
Task<std::string> Member::obtain(std::string request, certificates::Use use, std::string& certificate) {
  const bool traffic = use == certificates::Use::kTraffic;
  const bool ended = certificate_has_ended();
  if (traffic && ended) co_return "the certificate of the server itself has ended";
  std::string problem = "no server that holds the authority's key is known";
  const std::vector<std::string> holders = signers();
  for (const std::string& holder : holders) {
    if (holder == identity_->server && authority_) {
      if (ended) {
        problem = co_await issue_to_ended(holder, request, certificate);
      } else {
        problem = co_await issue(holder, request, use, certificate);
      }
      if (problem.empty()) break;
    }
    if (holder == identity_->server) continue;
    Json message = {{"request", ended ? "renew-ended" : "renew"},
                    {"server", identity_->server},
                    {"certificate_request", request}};
    if (traffic) message["use"] = certificates::kTrafficMark;
    Asking asking{.server = holder, .message = text_of(message), .as_stranger = ended, .deadline = soon()};
    const Result<Reply> reply = co_await ask_server(std::move(asking));
    if (reply && is_good(reply->message))
      certificate = value_of<std::string>(Json::parse(reply->message, nullptr, false), "certificate");
    if (!certificate.empty()) break;
    problem = fmt::format("{}: {}", holder, reply ? error_in(reply->message) : describe(reply.error()));
  }
  co_return problem;
}

// ---- those of others

// Writes the certificate down before it is given out: what is revoked is all that there is.
Task<std::string> Member::issue(std::string name, std::string text, certificates::Use use,
                                std::string& certificate) {
  const Result<certificates::Request> request = certificates::Request::parse(text);
  if (!request) co_return describe(request.error());
  for (int attempt = 0; attempt < kAttemptsMax; ++attempt) {
    const Result<std::optional<cluster::Entry>> entry = co_await state_->get(server_key(name), soon());
    if (!entry) co_return "what the servers share cannot be reached: " + describe(entry.error());
    const topology::Server* server = find_server(*site_, name);
    if (server == nullptr) co_return name + " is not in the site file any more";
    if (!*entry) co_return name + " is no member of the site any more";
    Result<ServerValue> value = parse_server((*entry)->value);
    if (!value) co_return describe(value.error());
    const bool of_server = value->key == request->key_hash();
    if (use == certificates::Use::kServer && !of_server)
      co_return "it asks with another key than it has joined with";
    // The worker holds that one.
    if (use == certificates::Use::kTraffic && of_server) co_return "traffic has a key of its own";
    drop_ended(*value, wall());
    if (value->certificates.size() >= kCertificatesMax)
      co_return "it has asked for very many certificates; the next one when one of them has ended";
    IssuedCertificate issued;
    Result<std::string> signed_one = sign(*request, *server, certificate_life(), issued, use);
    if (!signed_one) co_return describe(signed_one.error());
    value->certificates.push_back(issued);
    const cluster::Committed done =
        co_await state_->put(server_key(name), to_json(*value), (*entry)->version, soon());
    if (done.done()) certificate = *std::move(signed_one);
    if (done.done()) co_return "";
    if (done.outcome != cluster::Outcome::kRefused) co_return done.text;
  }
  co_return "others write at the same time; try again";
}

Task<std::string> Member::answer_renew(PeerTalk& talk) {
  const Json json = Json::parse(talk.message, nullptr, false);
  if (!authority_) co_return failure_line(identity_->server + " does not hold the authority's key");
  const auto use = value_of<std::string>(json, "use");
  if (!use.empty() && use != certificates::kTrafficMark)
    co_return failure_line("this server's version of Terrace knows no certificates for that");
  std::string certificate;
  const std::string problem =
      co_await issue(talk.asker.identity->server, value_of<std::string>(json, "certificate_request"),
                     use.empty() ? certificates::Use::kServer : certificates::Use::kTraffic, certificate);
  if (!problem.empty()) co_return failure_line(problem);
  co_return text_of({{"ok", true}, {"certificate", certificate}});
}

// ---- revocations

Task<std::string> Member::answer_revoke(std::string line, Conversation&) {
  const Json json = Json::parse(line, nullptr, false);
  const auto name = value_of<std::string>(json, "server");
  if (!identity_) co_return failure_line(why_not_);
  if (name == identity_->server)
    co_return failure_line("a server cannot revoke itself: do it on another one");
  std::string problem;
  for (int attempt = 0; attempt < kAttemptsMax; ++attempt) {
    const Result<cluster::Snapshot> all = co_await state_->list("", soon());
    if (!all && attempt == 0) {
      problem = co_await take_over_from(name, 0);
      if (problem.empty()) continue;
    }
    if (!all) co_return failure_line("what the servers share cannot be reached: " + describe(all.error()));
    const cluster::Entry* entry = all->find(server_key(name));
    if (entry == nullptr) co_return failure_line(fmt::format("`{}` has not joined the site", name));
    const cluster::Entry* before = all->find(kRevokedKey);
    RevokedValue revoked;
    if (before != nullptr) revoked = parse_revoked(before->value).value_or(RevokedValue{});
    const Result<ServerValue> server = parse_server(entry->value);
    if (!server) co_return failure_line(describe(server.error()));
    std::erase_if(revoked.serials,
                  [&](const auto& each) { return each.second + certificates::kBackdated < wall(); });
    for (const IssuedCertificate& each : server->certificates) revoked.serials[each.serial] = each.expires;
    revoked.servers[name] = wall();
    cluster::Commit commit{
        .conditions = {{entry->key, entry->version},
                       {std::string(kRevokedKey), before != nullptr ? before->version : 0}},
        .writes = {{entry->key, std::nullopt}, {std::string(kRevokedKey), to_json(revoked)}}};
    drop_tokens_of(name, *all, commit);
    const cluster::Entry* authority = all->find(kAuthorityKey);
    Result<AuthorityValue> holders =
        authority != nullptr ? parse_authority(authority->value) : fail(Code::kNotFound, "authority");
    const bool held = holders && std::erase(holders->holders, name) > 0;
    if (held) {
      // The next one that joins, or that is there already, holds it from now on.
      for (const topology::Server& each : site_->servers) {
        const bool joined = each.name != name && all->find(server_key(each.name)) != nullptr;
        const bool has = std::ranges::find(holders->holders, each.name) != holders->holders.end();
        if (joined && !has && holders->holders.size() < 2) holders->holders.push_back(each.name);
      }
      commit.conditions.push_back({authority->key, authority->version});
      commit.writes.push_back({authority->key, to_json(*holders)});
    }
    const WallTime when = revoked.servers[name];
    const cluster::Committed done = co_await state_->commit(std::move(commit), soon());
    // Where that server holds what is shared, the change itself ends the call before its answer.
    bool seen = false;
    if (done.outcome == cluster::Outcome::kUnknown) seen = co_await sees_revoked(name, when);
    if (done.done() || seen) {
      log_.info("revoked a server", {{"server", name}});
      const std::string left = co_await take_over_from(name, done.version);
      if (!left.empty())
        co_return failure_line(name + " is out, but it held what the servers share: " + left);
      co_return text_of({{"ok", true}, {"server", name}, {"held_authority", held}});
    }
    problem = done.text;
    if (done.outcome != cluster::Outcome::kRefused) break;
  }
  co_return failure_line("it could not be written down: " + problem);
}

// Whether it has come here that the server was revoked at that time, which is kept in seconds.
Task<bool> Member::sees_revoked(std::string server, WallTime when) {
  const Time deadline = reactor_.now() + kSeenTimeout;
  for (;;) {
    const auto known = revoked_value_.servers.find(server);
    if (known != revoked_value_.servers.end() && known->second >= when - std::chrono::seconds(1))
      co_return true;
    if (reactor_.now() >= deadline) co_return false;
    co_await sleep(reactor_, kCopyPause);
  }
}

// What the servers share, where that server alone holds it: from the last copy, once it has
// seen that version. "" when there is nothing to take over.
Task<std::string> Member::take_over_from(std::string server, cluster::Version seen) {
  const auto holds_alone = [&] {
    const cluster::Placement placement = state_->placement();
    return placement.holders.size() == 1 && placement.holders[0] == server;
  };
  if (!holds_alone()) co_return "";
  const Time deadline = reactor_.now() + kCopyTimeout;
  while (state_->copy().entries().version() < seen && reactor_.now() < deadline)
    co_await sleep(reactor_, kCopyPause);
  // Who has answered lately is not lost; the one that was revoked answers no more. It may
  // have handed over by itself meanwhile.
  Result<void> taken = state_->take_over();
  while (!taken && reactor_.now() < deadline) {
    co_await sleep(reactor_, kTakeOverPause);
    if (!holds_alone()) co_return "";
    taken = state_->take_over();
  }
  if (!taken) co_return describe(taken.error());
  log_.warning("this server holds what the servers share from now on, as of its last copy",
               {{"before", server}});
  co_return "";
}

// From now on no connection with them is made, and those that are there end.
void Member::take_revoked(const std::string& text) {
  const Result<RevokedValue> value = parse_revoked(text);
  if (!value) return log_.error("the revocations cannot be read");
  const bool known = to_json(*value) == to_json(revoked_value_);
  revoked_value_ = *value;
  revocations_ = {.serials = {value->serials.begin(), value->serials.end()}, .servers = {}};
  if (const Result<void> used = use_credentials(); !used)
    log_.error("the revocations cannot be used", {{"error", describe(used.error())}});
  const size_t ended = channel_.close_if(
      [&](const certificates::Identity& identity) { return revocations_.contains(identity); });
  for (const OpenCall& each : calls_) {
    if (revoked_value_.servers.contains(each.server) && !servers_.contains(each.server)) each.call->cancel();
  }
  write_revocations();
  if (!known)
    log_.info("certificates are revoked", {{"count", static_cast<int64_t>(revocations_.serials.size())},
                                           {"closed", static_cast<int64_t>(ended)}});
}

// For etcd, which looks at it for each connection.
void Member::write_revocations() {
  const Result<certificates::PrivateKey> key = files_->key();
  const Result<std::string> list =
      key ? certificates::revocation_list(revocations_, own_->certificates_pem, *key, wall())
          : std::unexpected(key.error());
  const Result<void> written = list ? write_file(revocations_file(folders_), *list, 0600)
                                    : Result<void>(std::unexpected(list.error()));
  if (!written) log_.error("the revocations cannot be written", {{"error", describe(written.error())}});
}

// ---- the authority's key and certificate

// Of the newest authority that this server has ever taken.
cluster::Version Member::trust_version() const {
  const Result<std::string> text = read_file(trust_version_file(folders_), kNumberBytesMax);
  return text ? std::strtoll(text->c_str(), nullptr, 10) : 0;
}

// The last copy is written a moment after what is in it was taken: after a power cut it may
// be older. To trust what it says would be to refuse those that have gone on since.
void Member::take_authority(const std::string& text, cluster::Version version) {
  const Result<AuthorityValue> value = parse_authority(text);
  if (!value) return log_.error("the authority cannot be read");
  if (version < trust_version()) return;
  if (const Result<void> kept =
          write_file(trust_version_file(folders_), std::to_string(version) + "\n", 0600);
      !kept)
    return log_.error("the trusted authorities cannot be written", {{"error", describe(kept.error())}});
  authority_value_ = *value;
  const Result<certificates::Bundle> bundle = certificates::Bundle::parse(value->bundle);
  if (!bundle || bundle->site() != identity_->site) return log_.error("the authority is of another site");
  if (bundle->pem() != trust_->pem()) {
    if (const Result<void> written = files_->write_trust(*bundle); !written)
      return log_.error("the trusted authorities cannot be written", {{"error", describe(written.error())}});
    trust_ = *bundle;
    if (const Result<void> used = use_credentials(); !used)
      log_.error("the trusted authorities cannot be used", {{"error", describe(used.error())}});
    state_->renew_etcd();
    log_.info("the trusted authorities have changed",
              {{"count", static_cast<int64_t>(bundle->fingerprints().size())}});
  }
  look_at_certificates();
}

// Fetches the authority's key where we shall hold it, and carries a rotation on.
Task<void> Member::keep_authority() {
  for (;;) {
    co_await authority_changed_.wait(kAuthorityRetry);
    if (!authority_value_ || !shared_known_) continue;
    const std::vector<std::string>& holders = authority_value_->holders;
    const bool shall = std::ranges::find(holders, identity_->server) != holders.end();
    promote_next();
    if (shall && (!authority_ || !trust_->trusts(authority_->fingerprint()))) {
      const std::string problem = co_await fetch_authority();
      if (!problem.empty()) log_.warning("the authority's key could not be fetched", {{"why", problem}});
    }
    co_await record_unrecorded();
    co_await make_sticky_secret();
    co_await report_trust();
    co_await give_up_stuck_rotation();
    co_await advance_rotation();
  }
}

Task<std::string> Member::fetch_authority() {
  const std::vector<std::string> holders = authority_value_->holders;
  std::string problem = "nobody else holds it";
  for (const std::string& holder : holders) {
    if (holder == identity_->server) continue;
    Asking asking{.server = holder,
                  .message = R"({"request":"authority-key"})",
                  .data_bytes_max = kKeyBytesMax,
                  .deadline = soon()};
    const Result<Reply> reply = co_await ask_server(std::move(asking));
    problem = reply ? is_good(reply->message) ? "" : error_in(reply->message) : describe(reply.error());
    if (!problem.empty()) continue;
    const auto certificate =
        value_of<std::string>(Json::parse(reply->message, nullptr, false), "certificate");
    Result<certificates::Authority> authority = certificates::Authority::load(certificate, reply->data);
    if (!authority || authority->site() != identity_->site) co_return holder + " sent no key of this site";
    if (const Result<void> written = files_->write_authority(*authority); !written)
      co_return describe(written.error());
    authority_ = *std::move(authority);
    log_.info("this server holds the authority's key, too");
    co_return "";
  }
  co_return problem;
}

// Others see in the shared state whom we trust and who has signed our certificate.
Task<void> Member::report_trust() {
  // Certificates of a new authority are made when all have said that they trust it.
  if (state_->renewing_etcd()) co_return;
  std::vector<std::string> trusts;
  for (const certificates::Fingerprint& each : trust_->fingerprints()) trusts.push_back(each.print());
  const std::string signer = own_signer();
  const std::string of_traffic = traffic_signer();
  const auto known = servers_.find(identity_->server);
  if (known == servers_.end() || (known->second.trusts == trusts && known->second.signer == signer &&
                                  known->second.traffic_signer == of_traffic))
    co_return;
  const Result<std::optional<cluster::Entry>> entry =
      co_await state_->get(server_key(identity_->server), soon());
  if (!entry || !*entry) co_return;
  Result<ServerValue> value = parse_server((*entry)->value);
  if (!value) co_return;
  value->trusts = trusts;
  value->signer = signer;
  value->traffic_signer = of_traffic;
  const cluster::Committed done =
      co_await state_->put((*entry)->key, to_json(*value), (*entry)->version, soon());
  (void)done;  // keep_authority() tries again
}

// To those alone that are written down as its holders.
Task<std::string> Member::answer_authority_key(PeerTalk& talk) {
  const std::string asker = talk.asker.identity->server;
  const Result<std::optional<cluster::Entry>> entry =
      co_await state_->get(std::string(kAuthorityKey), soon());
  const Result<AuthorityValue> value =
      entry && *entry ? parse_authority((*entry)->value) : fail(Code::kNotFound, "authority", "not known");
  if (!value) co_return failure_line("what the servers share cannot be reached");
  if (std::ranges::find(value->holders, asker) == value->holders.end()) {
    log_.warning("refused the authority's key to a server that is not to hold it",
                 {{"who", asker}, {"from", talk.asker.address()}});
    co_return failure_line("the authority's key is not for this server");
  }
  if (!authority_) co_return failure_line(identity_->server + " does not hold it");
  Result<std::string> key = authority_->key_pem();
  if (!key) co_return failure_line(describe(key.error()));
  const Result<void> sent = co_await talk.channel.send_data(*std::move(key));
  if (!sent) co_return failure_line(describe(sent.error()));
  log_.warning("another server was given the authority's key",
               {{"who", asker}, {"from", talk.asker.address()}});
  co_return text_of({{"ok", true}, {"certificate", authority_->certificate_pem()}});
}

}  // namespace terrace::program
