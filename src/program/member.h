#pragma once

// The member: this server as one of several of a site. It alone holds the server's
// private key, speaks with the other servers (cluster/channel.h), keeps what they share
// (cluster/state.h) and acts for the site as a whole: it asks the controller of this
// server over <run>/control.sock and the members of the others over their channel, and
// answers people on <run>/cluster/member.sock (member_commands.h).
//
// What others may ask is one table (member_requests.cc), what people may ask another one
// (member_commands.cc): a new thing is one entry and one coroutine.
//
// No request of a visitor passes through it. It may die at any moment: the controller
// and the worker go on with what they have, and what it must not forget is on disk.
// One thread, one reactor. It never unwinds: it leaves with the supervisor's channel,
// and what it has started ends with it.

#include <list>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/log.h"
#include "certificates/authority.h"
#include "certificates/folder.h"
#include "certificates/verifier.h"
#include "cluster/apply.h"
#include "cluster/channel.h"
#include "cluster/follow.h"
#include "cluster/rollout.h"
#include "cluster/shared.h"
#include "cluster/shared_state.h"
#include "cluster/state_transport.h"
#include "net/listener.h"
#include "program/channel.h"
#include "program/conversation.h"
#include "program/folders.h"
#include "program/member_identity.h"
#include "program/member_talk.h"
#include "program/records.h"
#include "program/shared_values.h"
#include "program/terrace_log.h"
#include "program/waiting.h"
#include "reactor/reactor.h"
#include "reactor/scope.h"
#include "topology/load.h"
#include "topology/site.h"

namespace terrace::program {

// None of the environment, the files and the secrets that the text names are the member's.
topology::LoadedSite load_for_member(std::string text, const std::string& path);

class ControlCall;
struct SiteDeploy;

class Member final : net::Acceptor, cluster::Answerer, cluster::StateTransport {
 public:
  Member(Reactor& reactor, Log& log);
  Result<void> start();

 private:
  struct PeerRequest {
    std::string_view name;
    cluster::Askers askers;
    Task<std::string> (Member::*answer)(PeerTalk& talk);
  };
  static std::span<const PeerRequest> peer_requests();
  struct PeopleCommand {
    std::string_view name;
    Task<std::string> (Member::*answer)(std::string line, Conversation& conversation);
  };
  static std::span<const PeopleCommand> people_commands();

  // member.cc: the process
  Task<void> read_supervisor();
  void handle(Received& received);
  void handle_welcome(const Welcome& welcome);
  void handle_site(const Site& record, const Descriptor& text);
  Task<void> live();
  bool use_site(std::string text);
  void say_why_not(const std::string& why);
  WallTime wall() const { return reactor_.clock().wall(); }
  Time soon() const;

  // member_credentials.cc: who we are, and how we are reached
  Result<void> take_identity();
  Result<void> use_credentials();
  Task<void> keep_listening();
  const topology::Server* own_entry() const;

  // member_founding.cc
  Task<std::string> found();
  Task<void> look_for_member(std::string address, bool& found);
  Task<bool> others_are_members(std::string own);
  Result<void> found_now(const std::string& server);

  // member_state.cc: what the servers share
  void open_state();
  void use_servers();
  bool shall_vote(const std::string& server) const;
  Task<void> follow_shared();
  void take_shared(const cluster::Entry& entry);
  Task<Result<std::string>> ask(std::string server, std::string request, Time deadline) override;
  Task<std::string> answer_state(PeerTalk& talk);

  // member_requests.cc: other servers
  Task<void> answer(cluster::Channel& channel, cluster::Asker asker, std::string name,
                    std::string message) override;
  void met(const cluster::Hello& theirs, std::chrono::milliseconds clock_difference) override;
  void say_request_refused(const cluster::Asker& asker, std::string_view request, std::string_view why);
  Task<Result<Reply>> ask_server(Asking asking);
  Task<void> ask_into(Asking asking, ServerReply& reply);
  // All of them at the same time.
  Task<std::vector<ServerReply>> ask_all(std::vector<std::string> servers, std::string message,
                                         AskLimits limits);
  std::vector<std::string> other_servers() const;

  // member_listed.cc: what the site file leaves of a certificate
  cluster::Listed listed(const std::string& server) const;
  cluster::Listed listed(const cluster::Asker& asker) const;
  std::optional<certificates::Reason> refusal(const cluster::Askers& askers,
                                              const cluster::Asker& asker) const;
  void end_unlisted();
  std::string objection_to_unlisted(const cluster::Asker& asker, const std::string& request) const;

  // member_join.cc: tokens, and who comes with one
  Task<std::string> answer_token(std::string line, Conversation& conversation);
  Task<std::string> answer_peer_token(PeerTalk& talk);
  Task<std::string> make_token(std::string server, std::chrono::seconds life);
  Task<std::string> keep_token(std::string key, std::string value);
  Task<void> drop_old_tokens(const cluster::Snapshot& tokens);
  Task<std::string> answer_join(PeerTalk& talk);
  struct JoinAsked;
  Task<std::string> token_objection(const JoinAsked& asked);
  Task<std::string> judge_join(const JoinAsked& asked, PeerTalk& talk);
  Task<std::string> welcome_server(PeerTalk& talk, std::string server, std::string certificate, bool again);

  // member_certificates.cc: certificates, revocations, the authority's key
  Result<std::string> sign(const certificates::Request& request, const topology::Server& server,
                           std::chrono::milliseconds life, IssuedCertificate& issued,
                           certificates::Use use = certificates::Use::kServer) const;
  std::chrono::milliseconds certificate_life() const;
  Task<void> keep_certificate();
  bool certificate_is_outdated() const;
  bool has_other_roles(const certificates::Identity& identity) const;
  std::string own_signer() const;
  std::vector<std::string> signers() const;
  Task<std::string> renew();
  Task<std::string> obtain(std::string request, certificates::Use use, std::string& certificate);
  Task<std::string> issue(std::string server, std::string request, certificates::Use use,
                          std::string& certificate);
  Task<std::string> answer_renew(PeerTalk& talk);
  Task<std::string> answer_authority_key(PeerTalk& talk);
  void take_authority(const std::string& text, cluster::Version version);
  cluster::Version trust_version() const;
  void take_revoked(const std::string& text);
  void write_revocations();
  Task<void> keep_authority();
  Task<std::string> fetch_authority();
  Task<void> report_trust();
  Task<std::string> answer_revoke(std::string line, Conversation& conversation);
  Task<bool> sees_revoked(std::string server, WallTime when);
  Task<std::string> take_over_from(std::string server, cluster::Version seen);

  // member_traffic.cc: what the worker shows to those of other servers
  void take_traffic();
  Task<void> keep_traffic();
  bool traffic_is_outdated() const;
  std::string traffic_signer() const;
  Task<std::string> renew_traffic();
  void look_at_certificates();
  void take_worker(Descriptor channel);
  void worker_has_news();
  Task<void> keep_worker_told();
  bool tell_worker();
  void take_sticky(const std::string& text);
  Task<void> make_sticky_secret();

  // member_ended.cc: certificates that have ended
  bool certificate_has_ended() const;
  Task<std::string> issue_to_ended(std::string server, std::string request, std::string& certificate);
  Task<std::string> answer_renew_ended(PeerTalk& talk);
  Task<void> record_unrecorded();

  // member_rotation.cc
  Task<std::string> answer_certificates(std::string line, Conversation& conversation);
  Task<std::string> answer_rotate(std::string line, Conversation& conversation);
  Task<std::string> answer_peer_rotate(PeerTalk& talk);
  Task<std::string> begin_rotation();
  Task<std::string> begin_rotation_alone();
  Task<void> advance_rotation();
  bool all_servers(bool (*hold)(const ServerValue& server, const std::string& fingerprint)) const;
  void promote_next();
  const certificates::Authority* next_signer() const;
  std::string why_rotation_is_stuck(const AuthorityValue& value, const cluster::Snapshot& all) const;
  Task<void> give_up_stuck_rotation();

  // member_site.cc: the site as a whole
  Task<std::string> answer_ping(std::string line, Conversation& conversation);
  Task<std::string> answer_status(std::string line, Conversation& conversation);
  Task<std::string> answer_peer_status(PeerTalk& talk);
  Task<std::string> own_status(Duration patience);
  Task<void> own_status_into(std::string& status);
  Task<std::string> answer_logs(std::string line, Conversation& conversation);
  Task<std::string> answer_peer_logs(PeerTalk& talk);
  Task<std::string> answer_on_server(std::string line, Conversation& conversation);
  Task<std::string> answer_restart(std::string line, Conversation& conversation);
  Task<std::string> answer_peer_control(PeerTalk& talk);
  Task<std::string> ask_own_controller(std::string question, Conversation& conversation, Time deadline);

  // member_secrets.cc
  SecretVersions own_secrets() const;
  Task<std::string> store_secret(std::string name, int64_t version, std::optional<std::string> value);
  Task<std::string> store_secret_alone(std::string name, int64_t version, std::optional<std::string> value,
                                       Time deadline);
  Task<Result<std::string>> read_secrets();
  Task<std::string> answer_change_secret(std::string line, Conversation& conversation);
  Task<std::string> raise_secret(std::string name, bool removed, int64_t& version);
  Task<std::string> give_secret(std::string server, std::string name, int64_t version,
                                std::optional<std::string> value);
  Task<std::string> answer_store_secret(PeerTalk& talk);
  Task<std::string> answer_secrets(PeerTalk& talk);
  void take_secrets(const std::string& text);
  Task<void> keep_secrets();
  bool lacks_secrets() const;
  Task<void> fetch_secrets(std::string server);

  // member_follow.cc: this server keeps up with the site
  struct Served {
    bool started = false;
    uint32_t previous = 0;  // of the releases
    uint32_t last = 0;
    cluster::Here here;
  };
  // A version of the site file for the controller of this server.
  struct SiteOffer {
    int64_t version = 0;
    std::string text;
    std::string name = {};  // in what is said of it; empty: that of this server's file
    bool check_only = false;
  };
  std::optional<cluster::SiteVersion> shared_site() const;
  std::optional<cluster::SharedRelease> shared_release() const;
  std::optional<cluster::DeployNote> shared_deploy() const;
  cluster::Wanted wanted_here() const;
  Task<std::string> answer_newest(std::string line, Conversation& conversation);
  Task<Result<Served>> served_here();
  static Result<Served> parse_served(std::string_view text);
  Task<std::string> answer_peer_served(PeerTalk& talk);
  Task<void> follow_site();
  Task<std::string> take_step(cluster::FollowStep step, cluster::Wanted wanted);
  Task<void> share_first_release(Served served);
  Task<void> end_dead_deploy();
  Task<std::string> offer_site_here(SiteOffer offer);
  static std::string objection_in(std::string_view answer);
  Task<std::string> fetch_release(uint32_t number, std::vector<std::string> from);
  Task<std::string> fetch_release_from(std::string server, uint32_t number);
  Task<std::string> stage_from(cluster::Channel& channel, uint32_t number);
  Task<std::string> answer_release_pack(PeerTalk& talk);
  Task<std::string> note_drain(std::string server, bool drains);

  // member_apply.cc: versions of the site file
  Task<std::string> answer_site_check(PeerTalk& talk);
  Task<void> check_on(std::string server, std::string text, std::string name, cluster::CheckedBy& checked);
  Task<std::vector<cluster::CheckedBy>> check_everywhere(SiteOffer offer);
  Task<std::string> answer_apply(std::string line, Conversation& talk);
  Task<std::string> take_text_to_apply(bool back, cluster::SiteVersion& next, Conversation& talk);
  Task<std::string> check_and_record(std::optional<cluster::Entry> now, cluster::SiteVersion next,
                                     bool check_only, std::string name, Conversation& talk);
  Task<std::string> record_version(std::optional<cluster::Entry> now, cluster::SiteVersion next);
  Task<std::vector<std::string>> await_taken(std::vector<cluster::CheckedBy> checked, int64_t version,
                                             Conversation& talk);
  Task<Result<Served>> served_of(std::string server);
  Task<std::string> answer_history(std::string line, Conversation& conversation);

  // member_rollout.cc: deploys of the whole site
  struct Fetched {
    bool over = false;
    std::string problem;
  };
  Task<std::string> answer_deploy(std::string line, Conversation& talk);
  Task<std::string> answer_rollback(std::string line, Conversation& talk);
  Task<std::string> answer_cancel_deploy(std::string line, Conversation& talk);
  Task<std::string> lead_deploy(std::string line, Conversation& talk, bool rollback);
  std::string end_of(const SiteDeploy& deploy);
  Task<std::shared_ptr<SiteDeploy>> begin_site_deploy(std::string by, Conversation& talk, bool rollback,
                                                      std::string& problem);
  Task<std::string> take_note(SiteDeploy& deploy, cluster::Version release_version);
  static std::string busy_text(std::string_view note);
  Task<cluster::RolloutPlan> plan_rollout(uint32_t number, bool rollback, std::string& problem);
  Task<void> keep_note(std::shared_ptr<SiteDeploy> deploy);
  Task<void> renew_note(SiteDeploy& deploy);
  Task<void> look_for_note(SiteDeploy& deploy);
  Task<cluster::Came> carry_out(SiteDeploy& deploy, cluster::Order order, std::string& why);
  Task<cluster::Came> build_release_here(SiteDeploy& deploy, std::string& why);
  Task<std::string> pass_upload(Conversation& talk, ControlCall& build);
  Task<cluster::Came> follow_step(SiteDeploy& deploy, ControlCall& call, std::string& why);
  static cluster::Came came_of(SiteDeploy& deploy, std::string_view answer, std::string& why);
  Task<cluster::Came> order_step(SiteDeploy& deploy, cluster::Order order, std::string& why);
  Task<cluster::Came> hear_step(SiteDeploy& deploy, cluster::Channel& channel, std::string& why);
  Task<std::string> answer_deploy_step(PeerTalk& talk);
  Task<bool> knows_deploy(std::string id);
  Task<std::string> do_step(std::string message, PeerTalk* peer, Conversation* talk);
  Task<void> fetch_beside(uint32_t release, std::string from, std::shared_ptr<Fetched> fetched);
  Task<std::string> do_fetch(uint32_t release, std::string from, PeerTalk* peer);
  Task<std::string> do_command(std::string question, std::string deploy, PeerTalk* peer, Conversation* talk);
  Task<void> end_step_here();
  Task<cluster::Came> record_release(SiteDeploy& deploy, std::string& why);
  Task<cluster::Came> give_up_note(SiteDeploy& deploy);
  Task<cluster::Came> await_old(SiteDeploy& deploy, std::string server);

  // member_commands.cc: people
  Result<void> open_socket();
  void accepted(Descriptor socket, const net::Peer& peer) override;
  Task<void> serve(Descriptor socket);
  Task<std::string> answer(std::string line, Conversation& conversation);

  Reactor& reactor_;
  Log& log_;
  std::unique_ptr<TerraceLog> terrace_log_;  // what log_ copies to
  Scope scope_;
  Descriptor supervisor_;
  Watch supervisor_watch_;
  Welcome welcome_;
  Folders folders_;

  // As this server has accepted it. `${…}` is not replaced: no value that the member needs
  // may hold one.
  std::shared_ptr<const topology::Site> site_;
  std::string site_text_;
  std::shared_ptr<const topology::Site> site_without_us_;  // the newest one, when it does not name us
  Alarm site_changed_;

  std::optional<MemberIdentity> identity_;
  std::string why_not_;  // this server is no member, in words
  std::optional<certificates::Folder> files_;
  std::optional<certificates::Folder::Own> own_;
  std::optional<certificates::Bundle> trust_;
  std::optional<certificates::Authority> authority_;       // on two servers
  std::optional<certificates::Authority> next_authority_;  // during a rotation, on one
  certificates::Revocations revocations_;
  cluster::Credentials credentials_;
  cluster::Credentials stranger_;  // without our certificate
  cluster::ChannelServer channel_;
  std::string listening_;  // the address
  std::string listen_problem_;
  Alarm address_changed_;

  std::unique_ptr<cluster::SharedState> state_;
  std::optional<AuthorityValue> authority_value_;
  RevokedValue revoked_value_;
  std::map<std::string, ServerValue> servers_;  // that have joined
  SecretVersions secret_versions_;              // of the site
  Alarm secrets_changed_;
  bool storing_secret_ = false;
  Alarm renew_now_;
  std::optional<certificates::Folder> traffic_files_;
  std::optional<certificates::Folder::Own> traffic_;  // none yet, or none of this site
  Alarm renew_traffic_now_;
  std::string sticky_secret_;  // of the site, in hexadecimal
  Descriptor worker_;          // none: no worker lives
  bool worker_told_ = true;
  Alarm worker_news_;
  Alarm authority_changed_;
  struct Unrecorded {
    std::string server;
    IssuedCertificate certificate;
  };
  std::vector<Unrecorded> unrecorded_;          // signed by the last copy
  std::map<std::string, Time> ended_answered_;  // of servers that have joined
  Time site_was_off_;                           // for longer than certificates hold
  bool shared_known_ = false;
  bool rotation_begins_ = false;

  struct OpenCall {
    std::string server;
    cluster::Call* call;
  };
  std::list<OpenCall> calls_;
  // Another server when it last showed that it lives, whoever of us had called.
  struct Met {
    Time when;
    std::chrono::milliseconds clock_difference{0};  // theirs less ours
  };
  std::map<std::string, Met> met_;
  std::map<std::string, Time> clock_said_;

  std::string behind_;  // why this server is not what it shall be, in words
  cluster::DeployPulse pulse_;
  std::shared_ptr<SiteDeploy> site_deploy_;  // that this member leads
  bool beginning_deploy_ = false;

  std::unique_ptr<net::Listener> socket_;
  int conversations_ = 0;  // on the socket
};

}  // namespace terrace::program
