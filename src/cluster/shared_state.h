#pragma once

// The shared state as one server of a site reaches it, wherever it is held: by a
// coordinator here or elsewhere, by etcd here or elsewhere. It also brings the state to
// where it belongs when the site grows, shrinks or loses a server (placement.h):
//
// - the coordinator of a site that has three servers now starts etcd, lets the other
//   voters in one by one and moves the state there (move.h);
// - the voter that leads etcd replaces one that has left the site;
// - of a site that shrinks to two servers one voter becomes the coordinator.
//
// One step at a time, each of which may be the last before a power cut: what stands on
// disk and in the state itself says what comes next.

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/log.h"
#include "cluster/coordinator.h"
#include "cluster/etcd_members.h"
#include "cluster/etcd_process.h"
#include "cluster/etcd_state.h"
#include "cluster/last_copy.h"
#include "cluster/remote_state.h"

namespace terrace::cluster {

// A server of the site, and where its etcd would listen for the others.
struct SiteServer {
  std::string name;
  std::string peer_url;  // "https://10.0.0.11:7401"
  bool operator==(const SiteServer&) const = default;
};

// The shared key that tells a server that it is to run etcd, and with whom.
constexpr const char* kVotersKey = "voters";
// "etcd-lost/web1": its disk is empty; it has to come into etcd anew.
constexpr std::string_view kEtcdLostPrefix = "etcd-lost/";

class SharedState final : public State {
 public:
  // Between two looks at whether something is to be done.
  static constexpr Duration kTendPause = std::chrono::milliseconds(300);
  // How often others are asked where the state is.
  static constexpr Duration kLookPause = std::chrono::seconds(2);
  // Versions that are left out when a copy is made the truth: the lost ones may have been used.
  static constexpr Version kTakeOverGap = 1 << 20;

  // Nobody was heard for so long: a person may decide that they are lost.
  static constexpr Duration kSilence = std::chrono::seconds(10);

  struct Options {
    std::string server;  // our name
    std::string folder;  // <state>/cluster; "state" and "etcd" are ours below it
    // Program, certificate files and the name that peers' certificates must have.
    EtcdOptions etcd;
  };
  SharedState(Reactor& reactor, const Log& log, StateTransport& transport, Options options);

  // Reads what is on disk; call once, first. kInvalid: the journal is damaged; then this
  // server does not coordinate, and the rest works.
  Result<void> open();
  // One of these when open() found nothing: the first server of a site, or one that has
  // joined and was told who holds the state.
  Result<void> found();
  void join(const Placement& placement);
  // The servers of the applied site, in the order of the file.
  void use(std::vector<SiteServer> servers);
  // Other authorities are trusted from now on: etcd here is started anew, the voters one
  // after the other.
  void renew_etcd();
  // Until etcd here trusts them: before that no other voter may show a certificate of theirs.
  bool renewing_etcd() const;
  // Makes this server the coordinator with what its last copy holds. For a person to
  // decide: only when those who held the state are lost for good, as what they answered
  // last may be missing. kUnavailable: somebody still holds it, or was heard or could have
  // been heard in the last kSilence. kNotFound: there is no copy here.
  Result<void> take_over();
  Task<void> close();

  Task<Result<std::optional<Entry>>> get(std::string key, Time deadline) override;
  Task<Result<Snapshot>> list(std::string prefix, Time deadline) override;
  Task<Committed> commit(Commit commit, Time deadline) override;
  // From the last copy, at once, then what changes.
  std::unique_ptr<StateWatch> watch(std::string prefix) override { return copy_.watch(std::move(prefix)); }

  const LastCopy& copy() const { return copy_; }
  const Placement& placement() const { return remote_.placement(); }
  // Whether the state is held here and could be asked now.
  bool holds() const { return local() != nullptr; }
  // Somebody who holds the state was heard in the last `within`.
  bool heard(Duration within) const;
  // Null when this server runs no etcd.
  const EtcdProcess* etcd() const { return voter_ ? &voter_->process : nullptr; }

  // Answers a request of another server (state_json.h), whose name its certificate says.
  Task<std::string> answer(std::string asker, std::string request, Time deadline);

 private:
  class DirectWatch;
  // This server's etcd and what asks it.
  struct Voter {
    Voter(Reactor& reactor, const Log& log, const net::Address& address)
        : process(reactor, log), client(reactor, address), state(reactor, log, client) {}
    EtcdProcess process;
    EtcdClient client;
    EtcdState state;
    std::vector<EtcdPeer> peers;  // with which it was started
  };

  std::shared_ptr<LocalState> local() const;
  Result<void> coordinate(const Snapshot& begin, const Placement& placement);
  void set_coordinator(std::unique_ptr<Journal> journal, Journal::Contents contents);
  void retire_coordinator();
  Task<void> close_coordinator(std::shared_ptr<Coordinator> coordinator);
  Task<void> close_voter(std::shared_ptr<Voter> voter, bool wipe);
  StateAnswer take(const std::string& asker, const TakeRequest& request);

  // shared_tend.cc
  Task<void> tend();
  Task<void> tend_once();
  Task<void> look_around();
  Task<void> tend_coordinator();
  Task<void> grow(Placement wanted);
  Task<void> finish_move();
  Task<void> finish_move_to_etcd(Placement target, Time deadline);
  Task<void> finish_hand_over(Placement target, Time deadline);
  Task<void> tend_voters();
  Task<void> take_back();
  Task<bool> change_members(Placement wanted);
  Task<void> publish_voters(std::vector<EtcdMember> members);
  Task<void> say_lost();
  Task<void> tend_own_etcd();
  EtcdOptions etcd_options(std::vector<EtcdPeer> peers) const;
  bool start_etcd(std::vector<EtcdPeer> peers, bool founds);
  void tend_running_etcd(const EtcdPeer* own, const std::vector<EtcdPeer>& voters, bool wanted);
  void stop_etcd(bool wipe);
  bool has_etcd_data() const;
  std::vector<std::string> names() const;
  std::optional<EtcdPeer> peer(std::string_view name) const;
  std::vector<EtcdPeer> peers_of(const Placement& placement) const;
  std::vector<std::string> lost_urls() const;
  const Entry* known(std::string_view key) const { return copy_.entries().find(key); }

  Reactor& reactor_;
  const Log& log_;
  StateTransport& transport_;
  Options options_;
  LastCopy copy_;
  RemoteState remote_;
  std::shared_ptr<Coordinator> coordinator_;
  std::shared_ptr<Voter> voter_;
  int voters_closing_ = 0;
  Time opened_;
  std::vector<SiteServer> servers_;
  size_t looked_at_ = 0;
  Time looked_;
  bool lost_said_ = false;
  std::optional<Time> renew_due_;
  uint32_t renew_from_ = 0;  // etcd's starts when it was told to start anew
  Time refused_;             // when etcd refused a change of its members last
  std::optional<Time> refused_since_;
  std::string said_;  // the last trouble that was logged, so that it is logged once
  void say(const char* text, const Error& error);
  Event wake_;
  bool closing_ = false;
  Scope scope_;
};

}  // namespace terrace::cluster
