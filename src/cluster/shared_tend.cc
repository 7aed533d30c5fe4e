// What SharedState does by itself: brings the state to where it belongs.

#include <algorithm>
#include <filesystem>
#include <utility>

#include "cluster/move.h"
#include "cluster/shared_state.h"

namespace terrace::cluster {
namespace {

// One step of tending; the next turn goes on where it could not.
constexpr Duration kStepMax = std::chrono::seconds(3);
// A move or a hand-over: nobody can write meanwhile.
constexpr Duration kMoveMax = std::chrono::seconds(10);
// Commits that may still be on their way to the disk when a move begins, and more.
constexpr Version kMoveGap = 1 << 16;
// Between two tries to change etcd's members, and how long they are all refused before
// another way is tried.
constexpr Duration kRefusedPause = std::chrono::seconds(1);
constexpr Duration kStuckMax = std::chrono::seconds(8);
// Between two voters that start etcd anew.
constexpr Duration kRenewPause = std::chrono::seconds(5);

}  // namespace

std::vector<std::string> SharedState::names() const {
  std::vector<std::string> all;
  for (const SiteServer& server : servers_) all.push_back(server.name);
  return all;
}

std::optional<EtcdPeer> SharedState::peer(std::string_view name) const {
  const auto found = std::ranges::find(servers_, name, &SiteServer::name);
  if (found == servers_.end()) return std::nullopt;
  return EtcdPeer{found->name, found->peer_url};
}

std::vector<EtcdPeer> SharedState::peers_of(const Placement& placement) const {
  std::vector<EtcdPeer> peers;
  for (const std::string& holder : placement.holders) {
    if (std::optional<EtcdPeer> one = peer(holder)) peers.push_back(std::move(*one));
  }
  return peers;
}

std::vector<std::string> SharedState::lost_urls() const {
  std::vector<std::string> urls;
  for (const Entry& entry : copy_.entries().list(kEtcdLostPrefix).entries) urls.push_back(entry.value);
  return urls;
}

// Its log is the last thing that etcd makes when it founds or joins; without it, it has
// never been a member, whatever else lies there.
bool SharedState::has_etcd_data() const {
  std::error_code ignored;
  return std::filesystem::exists(options_.folder + "/etcd/data/member/wal", ignored);
}

void SharedState::say(const char* text, const Error& error) {
  const std::string now = std::string(text) + ": " + describe(error);
  if (now == said_) return;
  said_ = now;
  log_.warning(text, {{"error", describe(error)}});
}

Task<void> SharedState::tend() {
  while (!closing_) {
    co_await tend_once();
    if (closing_) co_return;
    const Result<void> woken = co_await wake_.wait_until(reactor_.now() + kTendPause);
    if (woken) wake_.reset();
  }
}

Task<void> SharedState::tend_once() {
  co_await look_around();
  copy_.place(remote_.placement());
  if (coordinator_ && remote_.placement().generation > coordinator_->placement().generation) {
    log_.error("the shared state is held elsewhere: this server stops to coordinate it",
               {{"generation", remote_.placement().generation}});
    retire_coordinator();
  }
  if (servers_.empty() || closing_) co_return;
  co_await tend_own_etcd();
  if (closing_) co_return;
  if (coordinator_) {
    co_await tend_coordinator();
  } else if (voter_ && voter_->state.view().placement.generation >= remote_.placement().generation) {
    co_await tend_voters();
  }
}

// Asks another server where the state is: one that was away, or was told nothing, learns.
Task<void> SharedState::look_around() {
  // Who holds the state hears itself, and may be one whom a person has replaced (take_over()).
  const bool follows = !holds() && heard(kLookPause * 2);
  if (servers_.empty() || follows || reactor_.now() - looked_ < kLookPause) co_return;
  looked_ = reactor_.now();
  looked_at_ = (looked_at_ + 1) % servers_.size();
  const std::string server = servers_[looked_at_].name;
  if (server == options_.server) co_return;
  const Result<std::string> answered =
      co_await transport_.ask(server, to_json(StateRequest(WhereRequest{})), reactor_.now() + kStepMax / 2);
  if (!answered) co_return;
  const Result<StateAnswer> answer = parse_state_answer(*answered);
  const auto* placement = answer ? std::get_if<Placement>(&*answer) : nullptr;
  if (placement != nullptr) remote_.learn(*placement);
}

EtcdOptions SharedState::etcd_options(std::vector<EtcdPeer> peers) const {
  EtcdOptions options = options_.etcd;
  options.folder = options_.folder + "/etcd";
  options.name = options_.server;
  options.peers = std::move(peers);
  return options;
}

bool SharedState::start_etcd(std::vector<EtcdPeer> peers, bool founds) {
  // One that still ends has the folder, and may be about to remove it.
  if (closing_ || voters_closing_ > 0) return false;
  EtcdOptions options = etcd_options(peers);
  options.founds = founds;
  if (founds) options.token = "terrace-" + std::to_string(coordinator_->published().entries().version());
  const Result<net::Address> address = EtcdProcess::client_address(options.folder);
  Result<void> started = address ? Result<void>() : std::unexpected(address.error());
  if (started) {
    auto voter = std::make_shared<Voter>(reactor_, log_, *address);
    voter->peers = std::move(peers);
    started = voter->process.start(std::move(options));
    if (started) {
      voter_ = std::move(voter);
      renew_due_.reset();
      renew_from_ = 0;
    } else {
      ++voters_closing_;
      scope_.spawn(close_voter(std::move(voter), false));
    }
  }
  if (!started) say("etcd cannot be started", started.error());
  return started.has_value();
}

void SharedState::stop_etcd(bool wipe) {
  if (!voter_) return;
  ++voters_closing_;
  scope_.spawn(close_voter(std::exchange(voter_, nullptr), wipe));
}

void SharedState::renew_etcd() {
  const std::vector<std::string>& holders = placement().holders;
  const auto place = std::ranges::find(holders, options_.server) - holders.begin();
  renew_due_ = reactor_.now() + kRenewPause * place;
}

bool SharedState::renewing_etcd() const {
  if (!voter_) return false;
  return renew_due_ || voter_->process.starts() == renew_from_ || !voter_->state.has_majority();
}

void SharedState::tend_running_etcd(const EtcdPeer* own, const std::vector<EtcdPeer>& voters, bool wanted) {
  remote_.learn(voter_->state.view().placement);
  // Who is to come in, or coordinates and lets others in, is among the voters of the key.
  // A coordinator that is being made of etcd has not been heard yet.
  const bool holds_none = !coordinator_ && !placement().holds(options_.server);
  if (voter_->process.removed()) {
    log_.warning("etcd's members took this server out while it was away: it has to come in anew");
    stop_etcd(true);
  } else if (holds_none && !wanted && heard(kStepMax)) {
    log_.info("etcd is not needed on this server any more");
    stop_etcd(true);
  } else if (wanted && voters != voter_->peers && !has_etcd_data()) {
    // Etcd joins only when it is told the members as they are, and there are others by now.
    voter_->peers = voters;
    voter_->process.restart(etcd_options(voters));
  } else if (renew_due_ && reactor_.now() >= *renew_due_) {
    renew_due_.reset();
    renew_from_ = voter_->process.starts();
    voter_->process.restart(etcd_options(own != nullptr ? std::vector{*own} : std::vector<EtcdPeer>()));
  }
}

// Starts and stops etcd on this server as the state says.
Task<void> SharedState::tend_own_etcd() {
  const std::optional<EtcdPeer> own = peer(options_.server);
  const Entry* entry = known(kVotersKey);
  const std::vector<EtcdPeer> voters = entry == nullptr
                                           ? std::vector<EtcdPeer>()
                                           : parse_peers(entry->value).value_or(std::vector<EtcdPeer>());
  const bool wanted = own && std::ranges::find(voters, *own) != voters.end();
  if (voter_) {
    tend_running_etcd(own ? &*own : nullptr, voters, wanted);
    co_return;
  }
  if (!own || coordinator_ || voters_closing_ > 0) co_return;
  if (has_etcd_data()) {
    start_etcd({*own}, false);
  } else if (wanted && placement().keeper == Keeper::kEtcd && placement().holds(options_.server) &&
             !lost_said_) {
    co_await say_lost();
  } else if (wanted && known(std::string(kEtcdLostPrefix) + options_.server) == nullptr) {
    start_etcd(voters, false);
  }
}

// We had a vote, and our disk is empty: the others must not count on what we knew.
Task<void> SharedState::say_lost() {
  const std::optional<EtcdPeer> own = peer(options_.server);
  const std::string key = std::string(kEtcdLostPrefix) + options_.server;
  Commit lost;
  lost.writes.push_back({key, own->url});
  const Committed said = co_await commit(std::move(lost), reactor_.now() + kStepMax);
  if (!said.done()) co_return;
  lost_said_ = true;
  log_.warning("this server's etcd is empty, and comes in anew");
}

Task<void> SharedState::tend_coordinator() {
  if (coordinator_->moving()) {
    co_await finish_move();
    co_return;
  }
  Placement wanted = chosen(names(), coordinator_->placement());
  if (wanted.keeper == Keeper::kEtcd) {
    co_await grow(std::move(wanted));
    co_return;
  }
  if (!wanted.holds(options_.server)) {
    ++wanted.generation;
    const Committed placed = co_await coordinator_->place(wanted, true, reactor_.now() + kStepMax);
    if (placed.done()) log_.info("the shared state goes to another server", {{"server", wanted.holders[0]}});
    co_return;
  }
  // The site was about to have three servers, or had them until now.
  if (known(kVotersKey) != nullptr) {
    Commit none;
    none.writes.push_back({kVotersKey, std::nullopt});
    const Committed removed = co_await coordinator_->commit(std::move(none), reactor_.now() + kStepMax);
    (void)removed;
  } else if (voter_) {
    stop_etcd(true);
  }
}

// From a coordinator to etcd: our own first, then the others, then the state.
Task<void> SharedState::grow(Placement wanted) {
  if (!voter_) {
    const std::optional<EtcdPeer> own = peer(options_.server);
    if (!own || voters_closing_ > 0) co_return;
    const Entry* voters = coordinator_->published().entries().find(kVotersKey);
    std::error_code ignored;
    // What lies there without the key is of a time before: nobody knows of it any more.
    if (voters == nullptr) std::filesystem::remove_all(options_.folder + "/etcd", ignored);
    Commit begun;
    begun.conditions.push_back({kVotersKey, 0});
    begun.writes.push_back({kVotersKey, to_text(std::vector<EtcdPeer>{*own})});
    if (voters == nullptr) {
      const Committed said = co_await coordinator_->commit(std::move(begun), reactor_.now() + kStepMax);
      if (!said.done()) co_return;
    }
    start_etcd({*own}, true);
    co_return;
  }
  if (!voter_->state.has_majority()) co_return;
  const bool complete = co_await change_members(wanted);
  if (!complete || !coordinator_) co_return;
  ++wanted.generation;
  wanted.base = coordinator_->published().entries().version() + kMoveGap;
  const Committed placed = co_await coordinator_->place(wanted, true, reactor_.now() + kStepMax);
  if (!placed.done()) co_return;
  log_.info("the shared state moves to etcd");
  co_await finish_move();
}

Task<void> SharedState::finish_move() {
  if (!coordinator_) co_return;
  const Placement target = coordinator_->placement();
  const Time deadline = reactor_.now() + kMoveMax;
  if (target.keeper == Keeper::kEtcd) {
    co_await finish_move_to_etcd(target, deadline);
  } else {
    co_await finish_hand_over(target, deadline);
  }
}

Task<void> SharedState::finish_move_to_etcd(Placement target, Time deadline) {
  const std::shared_ptr<Coordinator> coordinator = coordinator_;
  if (!voter_) {
    start_etcd(peers_of(target), false);
    co_return;
  }
  const std::shared_ptr<Voter> voter = voter_;
  const Result<void> moved =
      co_await move_to_etcd(voter->client, coordinator->published().entries().list(""), target, deadline);
  if (!moved) {
    say("the shared state could not be moved to etcd yet", moved.error());
    co_return;
  }
  const Committed placed = co_await coordinator->place(target, false, reactor_.now() + kStepMax);
  if (!placed.done()) co_return;
  remote_.learn(target);
  retire_coordinator();
  log_.info("etcd holds the shared state from now on");
}

Task<void> SharedState::finish_hand_over(Placement target, Time deadline) {
  const std::shared_ptr<Coordinator> coordinator = coordinator_;
  const StateRequest request(TakeRequest{target, coordinator->published().entries().list("")});
  const Result<std::string> answered = co_await transport_.ask(target.holders[0], to_json(request), deadline);
  const Result<StateAnswer> answer =
      answered ? parse_state_answer(*answered) : std::unexpected(answered.error());
  const auto* taken = answer ? std::get_if<Committed>(&*answer) : nullptr;
  if (taken == nullptr || !taken->done()) {
    const Error refused{.code = Code::kUnavailable, .place = "take", .text = "it does not take it yet"};
    say("the shared state could not be handed over yet", answer ? refused : answer.error());
    co_return;
  }
  const Committed placed = co_await coordinator->place(target, false, reactor_.now() + kStepMax);
  if (!placed.done()) co_return;
  remote_.learn(target);
  retire_coordinator();
  log_.info("another server holds the shared state from now on", {{"server", target.holders[0]}});
}

// As one of the voters. Everything but our own coming back is done by the one that leads.
Task<void> SharedState::tend_voters() {
  const std::shared_ptr<Voter> voter = voter_;
  const EtcdView view = voter->state.view();
  if (view.revision == 0) co_return;
  if (view.placement.keeper == Keeper::kCoordinator) {
    if (view.placement.holds(options_.server)) co_await take_back();
    co_return;
  }
  if (!voter->state.healthy()) co_return;
  Placement wanted = chosen(names(), view.placement);
  if (wanted.keeper == Keeper::kCoordinator) {
    ++wanted.generation;
    if (wanted.holds(options_.server)) {
      const Committed placed = co_await voter->state.place(wanted, view.revision, reactor_.now() + kStepMax);
      if (placed.done()) log_.info("the shared state leaves etcd: the site has fewer than three servers");
    }
    co_return;
  }
  const Result<bool> leading = co_await leads(voter->client, reactor_.now() + kStepMax);
  if (!leading || !*leading) co_return;
  const bool complete = co_await change_members(wanted);
  if (!complete || wanted.holders == view.placement.holders) co_return;
  ++wanted.generation;
  const Committed placed = co_await voter->state.place(wanted, view.revision, reactor_.now() + kStepMax);
  if (placed.done()) log_.info("etcd has other voters", {{"generation", wanted.generation}});
}

// Out of etcd: we are to coordinate. Etcd keeps all of it until our journal stands.
Task<void> SharedState::take_back() {
  const std::shared_ptr<Voter> voter = voter_;
  const Placement target = voter->state.view().placement;
  const Result<Snapshot> all = co_await leave_etcd(voter->client, target, reactor_.now() + kMoveMax);
  if (!all) {
    say("the shared state could not be taken out of etcd yet", all.error());
    co_return;
  }
  const Result<void> done = coordinate(*all, target);
  if (!done) say("the shared state cannot be written", done.error());
  if (done) log_.info("this server holds the shared state from now on");
}

// True when the wanted ones and nobody else are voters.
Task<bool> SharedState::change_members(Placement wanted) {
  const std::shared_ptr<Voter> voter = voter_;
  const Time deadline = reactor_.now() + kStepMax;
  Result<std::vector<EtcdMember>> members = co_await etcd_members(voter->client, deadline);
  if (!members) co_return false;
  const std::vector<EtcdPeer> peers = peers_of(wanted);
  const std::vector<std::string> lost = lost_urls();
  const std::optional<EtcdStep> step = next_step(*members, peers, lost);
  co_await publish_voters(*members);
  if (!step) co_return peers.size() == wanted.holders.size();
  if (reactor_.now() - refused_ < kRefusedPause) co_return false;
  EtcdStep next = *step;
  Result<void> done = co_await carry_out(voter->client, std::move(next), deadline);
  if (done) refused_since_.reset();
  if (!done) refused_ = reactor_.now();
  if (!done && !refused_since_) refused_since_ = refused_;
  // Etcd also takes nobody in for the first five seconds after a member was away.
  const bool stuck = !done && reactor_.now() - *refused_since_ > kStuckMax;
  std::optional<EtcdStep> instead = stuck ? step_instead(*step, *members, peers) : std::nullopt;
  if (instead) done = co_await carry_out(voter->client, std::move(*instead), deadline);
  if (done) log_.info("etcd's members change", {{"members", uint64_t{members->size()}}});
  if (!done) co_return false;
  members = co_await etcd_members(voter->client, deadline);
  if (members) co_await publish_voters(*members);
  co_return false;
}

// So that who is to come in learns whom to ask. With it goes the mark of who was lost, once
// it is no member any more.
Task<void> SharedState::publish_voters(std::vector<EtcdMember> members) {
  std::vector<EtcdPeer> peers;
  for (const EtcdMember& member : members) {
    const auto server = std::ranges::find(servers_, member.peer_url, &SiteServer::peer_url);
    peers.push_back({server == servers_.end() ? member.name : server->name, member.peer_url});
  }
  std::erase_if(peers, [](const EtcdPeer& one) { return one.name.empty(); });
  Commit change;
  const Entry* before = known(kVotersKey);
  if (before == nullptr || before->value != to_text(peers))
    change.writes.push_back({kVotersKey, to_text(peers)});
  for (const Entry& lost : copy_.entries().list(kEtcdLostPrefix).entries) {
    const bool still = std::ranges::any_of(peers, [&](const EtcdPeer& one) { return one.url == lost.value; });
    if (!still && change.writes.size() < kCommitPartsMax) change.writes.push_back({lost.key, std::nullopt});
  }
  if (change.writes.empty()) co_return;
  const Committed written = co_await commit(std::move(change), reactor_.now() + kStepMax);
  (void)written;
}

}  // namespace terrace::cluster
