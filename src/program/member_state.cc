// The member's part about what the servers share: where it is kept, how other servers
// reach it, and what this one does when it changes.

#include "base/file.h"
#include "cluster/state_json.h"
#include "program/member.h"

namespace terrace::program {
namespace {

constexpr std::chrono::seconds kLook{60};
constexpr std::chrono::milliseconds kRetry{200};

}  // namespace

void Member::open_state() {
  cluster::SharedState::Options options{.server = identity_->server, .folder = cluster_folder(folders_)};
  options.etcd.certificate_file = files_->certificate_path();
  options.etcd.key_file = files_->key_path();
  options.etcd.authorities_file = files_->trust_path();
  options.etcd.revocations_file = revocations_file(folders_);
  options.etcd.peer_name = cluster::kVoterName;
  write_revocations();
  if (const Result<void> made = make_folders(state_folder(folders_), 0700); !made)
    log_.error("no folder for what the servers share", {{"error", describe(made.error())}});
  state_ = std::make_unique<cluster::SharedState>(
      reactor_, log_, static_cast<cluster::StateTransport&>(*this), std::move(options));
  if (const Result<void> opened = state_->open(); !opened)
    log_.error("what the servers share cannot be read on this one", {{"error", describe(opened.error())}});
  if (state_->placement().generation < identity_->placement.generation) state_->join(identity_->placement);
}

// The state is held by servers that have joined, whatever the file says of others. A server
// that was taken out never takes the file that says so, but hands over what it holds.
void Member::use_servers() {
  const topology::Site& site = site_without_us_ ? *site_without_us_ : *site_;
  std::vector<cluster::SiteServer> servers;
  for (const topology::Server& server : site.servers) {
    if (servers_.contains(server.name))
      servers.push_back({.name = server.name, .peer_url = "https://" + peer_address(site, server)});
  }
  if (!servers.empty()) state_->use(std::move(servers));
  look_at_certificates();
}

// Now, or as soon as the state is where it belongs.
bool Member::shall_vote(const std::string& server) const {
  std::vector<std::string> names;
  for (const topology::Server& each : site_->servers) {
    if (servers_.contains(each.name) || each.name == server) names.push_back(each.name);
  }
  const cluster::Placement& now = state_->placement();
  const cluster::Placement wanted = cluster::chosen(names, now);
  const auto votes = [&](const cluster::Placement& placement) {
    return placement.keeper == cluster::Keeper::kEtcd && placement.holds(server);
  };
  return votes(now) || votes(wanted);
}

// The last copy first, then every change.
Task<void> Member::follow_shared() {
  const std::unique_ptr<cluster::StateWatch> watch = state_->watch("");
  for (;;) {
    Result<cluster::Changes> changes = co_await watch->next(reactor_.now() + kLook);
    if (!changes && changes.error().code != Code::kTimeout) co_await sleep(reactor_, kRetry);
    if (!changes) continue;
    if (changes->whole) servers_.clear();
    for (const std::string& key : changes->removed) {
      if (key.starts_with("servers/")) servers_.erase(key.substr(key.find('/') + 1));
    }
    // Who was revoked and has joined again is none of those whose calls are ended.
    const auto is_server = [](const cluster::Entry& each) { return each.key.starts_with("servers/"); };
    for (const bool servers : {true, false}) {
      for (const cluster::Entry& entry : changes->entries) {
        if (is_server(entry) == servers) take_shared(entry);
      }
    }
    use_servers();
    if (changes->version > 0 && !std::exchange(shared_known_, true)) worker_has_news();
    authority_changed_.ring();
  }
}

void Member::take_shared(const cluster::Entry& entry) {
  if (entry.key == kAuthorityKey) return take_authority(entry.value, entry.version);
  if (entry.key == kRevokedKey) return take_revoked(entry.value);
  if (entry.key == kSecretsKey) return take_secrets(entry.value);
  if (entry.key == kStickyKey) return take_sticky(entry.value);
  if (entry.key == cluster::kSiteKey) {
    const Result<cluster::SiteVersion> version = cluster::parse_site_version(entry.value);
    if (version)
      site_without_us_ = load_for_member(version->text, std::string(welcome_.site_path.view())).site;
    if (site_without_us_ && find_server(*site_without_us_, identity_->server) != nullptr)
      site_without_us_.reset();
    return;
  }
  if (entry.key.starts_with("servers/")) {
    if (Result<ServerValue> server = parse_server(entry.value))
      servers_[entry.key.substr(entry.key.find('/') + 1)] = *std::move(server);
  }
}

// StateTransport: of another server.
Task<Result<std::string>> Member::ask(std::string server, std::string request, Time deadline) {
  Asking asking{.server = std::move(server),
                .message = R"({"request":"state"})",
                .data = std::move(request),
                .sends_data = true,
                .data_bytes_max = cluster::kStateTextBytesMax,
                .deadline = deadline};
  Result<Reply> reply = co_await ask_server(std::move(asking));
  if (!reply) co_return std::unexpected(reply.error());
  if (!is_good(reply->message)) co_return fail(Code::kUnavailable, "state", "refused by the other server");
  co_return std::move(reply->data);
}

Task<std::string> Member::answer_state(PeerTalk& talk) {
  const Time deadline = reactor_.now() + cluster::kWatchWaitMax + cluster::kGreetingTimeout;
  const Result<std::string> text = co_await talk.channel.receive_data(cluster::kStateTextBytesMax, deadline);
  if (!text) co_return failure_line(describe(text.error()));
  std::string objection = objection_to_unlisted(talk.asker, *text);
  if (!objection.empty()) {
    say_request_refused(talk.asker, "state", objection);
    co_return failure_line(objection);
  }
  std::string said = co_await state_->answer(talk.asker.identity->server, *text, deadline);
  const Result<void> sent = co_await talk.channel.send_data(std::move(said));
  // A failure would mean that nothing was done, and be tried again elsewhere; an answer that is
  // cut short cannot be read, so that the outcome is unknown.
  if (!sent) log_.debug("another server did not take its answer", {{"error", describe(sent.error())}});
  co_return R"({"ok":true})";
}

}  // namespace terrace::program
