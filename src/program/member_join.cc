// The member's part about tokens and about servers that come with one.
//
// A token is used up by the first key that comes with it, and by no other: a server that
// lost its power, or the answer, comes again with the same key and gets another
// certificate, until the token expires.

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "certificates/hex.h"
#include "certificates/token.h"
#include "cluster/state_json.h"
#include "program/json_value.h"
#include "program/member.h"

namespace terrace::program {

using Json = nlohmann::json;

namespace {

constexpr std::chrono::seconds kTokenLifeDefault{3600};
constexpr std::chrono::seconds kTokenLifeMax{7 * 86'400};
constexpr size_t kTokensMax = 256;
constexpr Duration kTokenPause = std::chrono::milliseconds(200);
// Kept for so long after its end: the clock of another server may be behind.
constexpr std::chrono::hours kTokenGrace{25};
constexpr int kAttemptsMax = 5;
constexpr size_t kHoldersMax = 2;

std::string text_of(const Json& json) { return json.dump(-1, ' ', false, Json::error_handler_t::replace); }

}  // namespace

struct Member::JoinAsked {
  std::string id;
  std::string secret;
  std::string request;  // for a certificate, PEM
  std::string key;      // its hash
};

// ---- tokens

Task<std::string> Member::answer_token(std::string line, Conversation&) {
  const Json request = Json::parse(line, nullptr, false);
  const auto server = value_of<std::string>(request, "server");
  const auto seconds = value_of<int64_t>(request, "life_seconds");
  if (!identity_)
    co_return failure_line(why_not_.empty() ? "this server is not a member of its site yet" : why_not_);
  if (authority_) {
    std::string made = co_await make_token(server, std::chrono::seconds(seconds));
    co_return made;
  }
  // The address in a token is of a server that can answer whoever comes with it.
  std::string problem = "no server that holds the authority's key is known";
  const std::vector<std::string> holders =
      authority_value_ ? authority_value_->holders : std::vector<std::string>();
  for (const std::string& holder : holders) {
    Asking asking{.server = holder,
                  .message = text_of({{"request", "token"}, {"server", server}, {"life_seconds", seconds}}),
                  .deadline = soon()};
    Result<Reply> reply = co_await ask_server(std::move(asking));
    if (reply) co_return reply->message;
    problem = fmt::format("{} does not answer: {}", holder, describe(reply.error()));
  }
  co_return failure_line(problem);
}

Task<std::string> Member::answer_peer_token(PeerTalk& talk) {
  const Json request = Json::parse(talk.message, nullptr, false);
  if (!authority_) co_return failure_line(identity_->server + " does not hold the authority's key");
  std::string made = co_await make_token(value_of<std::string>(request, "server"),
                                         std::chrono::seconds(value_of<int64_t>(request, "life_seconds")));
  co_return made;
}

Task<std::string> Member::make_token(std::string server, std::chrono::seconds life) {
  if (life <= std::chrono::seconds(0)) life = kTokenLifeDefault;
  life = std::min(life, kTokenLifeMax);
  const Result<cluster::Snapshot> joined = co_await state_->list("servers/", soon());
  const Result<cluster::Snapshot> tokens = co_await state_->list("tokens/", soon());
  if (!joined || !tokens)
    co_return failure_line("what the servers share cannot be reached: " +
                           describe(joined ? tokens.error() : joined.error()));
  std::vector<std::string> missing;
  for (const topology::Server& each : site_->servers) {
    if (joined->find(server_key(each.name)) == nullptr) missing.push_back(each.name);
  }
  if (server.empty() && missing.size() == 1) server = missing[0];
  if (server.empty() && missing.empty()) co_return failure_line("every server of the site file has joined");
  if (server.empty())
    co_return failure_line(fmt::format("say which server shall join: {}", fmt::join(missing, ", ")));
  if (find_server(*site_, server) == nullptr)
    co_return failure_line(fmt::format("the site file names no server `{}`: add it first", server));
  if (std::ranges::find(missing, server) == missing.end())
    co_return failure_line(
        fmt::format("{0} has joined; to let another machine take its place: terrace revoke {0}", server));
  if (tokens->entries.size() >= kTokensMax)
    co_return failure_line("there are too many tokens; wait until some expire");
  const topology::Server own = *own_entry();  // another version of the site may come meanwhile
  const WallTime expires = std::chrono::floor<std::chrono::seconds>(wall() + life);
  const certificates::Token token =
      certificates::Token::make(authority_->fingerprint(), net::Ip::parse(own.address).value(),
                                static_cast<uint16_t>(site_->cluster.port), expires);
  const TokenValue value{.server = server, .hash = token.secret_hash(), .expires = expires, .key = {}};
  const std::string problem = co_await keep_token(token_key(token.id_hex()), to_json(value));
  if (!problem.empty()) co_return failure_line("the token could not be kept: " + problem);
  scope_.spawn(drop_old_tokens(*tokens));
  log_.info("made a token", {{"server", server}, {"token", token.id_hex()}});
  co_return text_of({{"ok", true},
                     {"token", token.print()},
                     {"server", server},
                     {"address", channel_address(*site_, own)},
                     {"life_seconds", life.count()}});
}

// While the voters elect a leader it cannot be said whether a change was made. The number of a
// token is random: who finds it taken the second time was the one that took it.
Task<std::string> Member::keep_token(std::string key, std::string value) {
  const Time deadline = soon();
  bool perhaps = false;
  for (;;) {
    const cluster::Committed kept = co_await state_->put(key, value, 0, deadline);
    if (kept.done() || (perhaps && kept.outcome == cluster::Outcome::kRefused)) co_return "";
    if (kept.outcome == cluster::Outcome::kRefused || reactor_.now() + kTokenPause >= deadline)
      co_return kept.text;
    perhaps = perhaps || kept.outcome == cluster::Outcome::kUnknown;
    co_await sleep(reactor_, kTokenPause);
  }
}

Task<void> Member::drop_old_tokens(const cluster::Snapshot& tokens) {
  const std::vector<cluster::Entry> entries = tokens.entries;
  for (const cluster::Entry& entry : entries) {
    const Result<TokenValue> token = parse_token(entry.value);
    if (token && wall() - token->expires < kTokenGrace) continue;
    const cluster::Committed removed = co_await state_->remove(entry.key, entry.version, soon());
    if (removed.outcome == cluster::Outcome::kUnavailable) co_return;
  }
}

// ---- who comes with one

Task<std::string> Member::answer_join(PeerTalk& talk) {
  const Json json = Json::parse(talk.message, nullptr, false);
  JoinAsked asked{.id = value_of<std::string>(json, "token"),
                  .secret = value_of<std::string>(json, "secret"),
                  .request = value_of<std::string>(json, "certificate_request"),
                  .key = {}};
  const Result<certificates::Request> request = certificates::Request::parse(asked.request);
  const bool named = asked.id.size() == 16 && cluster::is_key(token_key(asked.id));
  std::string answered;
  if (!request) {
    answered = failure_line(describe(request.error()));
  } else if (!named) {
    answered = failure_line("this is no token");
  } else if (!authority_) {
    answered = failure_line("this server cannot let others join; ask the one that the token names");
  } else {
    asked.key = request->key_hash();
    const std::string problem = co_await token_objection(asked);
    answered = failure_line(problem);
    if (problem.empty()) answered = co_await judge_join(asked, talk);
  }
  if (!is_good(answered))
    channel_.say_refused(talk.asker, error_in(answered), "refused a server that wants to join");
  co_return answered;
}

// Whoever knows the address may come this far: what is looked at is one small entry.
Task<std::string> Member::token_objection(const JoinAsked& asked) {
  const Result<std::optional<cluster::Entry>> kept = co_await state_->get(token_key(asked.id), soon());
  if (!kept) co_return "what the servers share cannot be reached; try again";
  const Result<TokenValue> token = *kept ? parse_token((*kept)->value) : fail(Code::kNotFound, "token");
  const bool known = token && certificates::secret_matches(asked.secret, token->hash);
  co_return known ? "" : "the token is not one of this site";
}

Task<std::string> Member::judge_join(const JoinAsked& asked, PeerTalk& talk) {
  std::string problem;
  for (int attempt = 0; attempt < kAttemptsMax; ++attempt) {
    const Result<cluster::Snapshot> all = co_await state_->list("", soon());
    if (!all) co_return failure_line("what the servers share cannot be reached; try again");
    const cluster::Entry* kept = all->find(token_key(asked.id));
    Result<TokenValue> token =
        kept != nullptr ? parse_token(kept->value) : fail(Code::kNotFound, "token", "no such token");
    if (!token || !certificates::secret_matches(asked.secret, token->hash))
      co_return failure_line("the token is not one of this site");
    if (wall() >= token->expires)
      co_return failure_line("the token has expired; make another one with `terrace token`");
    if (!token->key.empty() && token->key != asked.key)
      co_return failure_line("the token was used by another server; make another one with `terrace token`");
    const topology::Server* server = find_server(*site_, token->server);
    if (server == nullptr) co_return failure_line(token->server + " is not in the site file any more");
    const std::string name = server->name;
    const cluster::Entry* before = all->find(server_key(name));
    ServerValue value;
    if (before != nullptr) value = parse_server(before->value).value_or(ServerValue{});
    if (before != nullptr && value.key != asked.key) co_return failure_line(name + " has joined meanwhile");
    // The commit that used the token made the entry; who is no more there was revoked.
    if (before == nullptr && !token->key.empty())
      co_return failure_line("the token was used, and " + name + " revoked since; make another one");

    const Result<certificates::Request> request = certificates::Request::parse(asked.request);
    IssuedCertificate issued;
    const Result<std::string> certificate =
        request ? sign(*request, *server, certificate_life(), issued) : std::unexpected(request.error());
    if (!certificate) co_return failure_line(describe(certificate.error()));
    if (before == nullptr) value.joined = wall();
    value.key = asked.key;
    value.certificates.push_back(issued);
    token->key = asked.key;
    cluster::Commit commit{.conditions = {{kept->key, kept->version},
                                          {server_key(name), before != nullptr ? before->version : 0}},
                           .writes = {{kept->key, to_json(*token)}, {server_key(name), to_json(value)}}};
    const cluster::Entry* authority = all->find(kAuthorityKey);
    Result<AuthorityValue> holders =
        authority != nullptr ? parse_authority(authority->value) : fail(Code::kNotFound, "authority");
    if (holders && holders->holders.size() < kHoldersMax &&
        std::ranges::find(holders->holders, name) == holders->holders.end()) {
      holders->holders.push_back(name);
      commit.conditions.push_back({authority->key, authority->version});
      commit.writes.push_back({authority->key, to_json(*holders)});
    }
    const cluster::Committed done = co_await state_->commit(std::move(commit), soon());
    if (done.done()) {
      servers_[name] = value;  // it asks further things at once, before our copy has heard of it
      log_.info("a server has joined the site", {{"server", name}, {"from", talk.asker.address()}});
      std::string welcomed = co_await welcome_server(talk, name, *certificate, before != nullptr);
      co_return welcomed;
    }
    problem = done.text;
    if (done.outcome != cluster::Outcome::kRefused) break;
  }
  co_return failure_line("it could not be written down; try again: " + problem);
}

// The site file as data, then the certificate and what else a member begins with. `again`:
// it is a member already, and what it keeps for the site counts.
Task<std::string> Member::welcome_server(PeerTalk& talk, std::string server, std::string certificate,
                                         bool again) {
  const Result<std::optional<cluster::Entry>> entry = co_await state_->get(std::string(kSiteKey), soon());
  const Result<SiteValue> site =
      entry && *entry ? parse_site((*entry)->value) : fail(Code::kNotFound, "site", "there is no site file");
  if (!site) co_return failure_line("the site file cannot be read; try again");
  std::string text = site->text;
  Result<void> sent = co_await talk.channel.send_data(std::move(text));
  if (sent) sent = co_await talk.channel.send_end();
  if (!sent) co_return failure_line(describe(sent.error()));
  const cluster::Placement& placement = state_->placement();
  co_return text_of({{"ok", true},
                     {"server", server},
                     {"again", again},
                     {"site", identity_->site},
                     {"certificate", certificate},
                     {"trust", trust_->pem()},
                     {"site_version", site->version},
                     {"placement", cluster::to_json(placement)}});
}

}  // namespace terrace::program
