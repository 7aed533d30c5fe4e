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
#include "cluster/channel.h"
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
#include "topology/site.h"

namespace terrace::program {

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
  std::vector<std::string> joined_servers() const;
  bool shall_vote(const std::string& server) const;
  Task<void> follow_shared();
  void take_shared(const cluster::Entry& entry);
  Task<Result<std::string>> ask(std::string server, std::string request, Time deadline) override;
  Task<std::string> answer_state(PeerTalk& talk);

  // member_requests.cc: other servers
  Task<void> answer(cluster::Channel& channel, cluster::Asker asker, std::string name,
                    std::string message) override;
  void met(const cluster::Hello& theirs, std::chrono::milliseconds clock_difference) override;
  Task<Result<Reply>> ask_server(Asking asking);
  Task<void> ask_into(Asking asking, ServerReply& reply);
  // All of them at the same time.
  Task<std::vector<ServerReply>> ask_all(std::vector<std::string> servers, std::string message,
                                         Duration limit, size_t data_bytes_max);
  std::vector<std::string> other_servers() const;

  // member_join.cc: tokens, and who comes with one
  Task<std::string> answer_token(std::string line, Conversation& conversation);
  Task<std::string> answer_peer_token(PeerTalk& talk);
  Task<std::string> make_token(std::string server, std::chrono::seconds life);
  Task<void> drop_old_tokens(const cluster::Snapshot& tokens);
  Task<std::string> answer_join(PeerTalk& talk);
  struct JoinAsked;
  Task<std::string> token_objection(const JoinAsked& asked);
  Task<std::string> judge_join(const JoinAsked& asked, PeerTalk& talk);
  Task<std::string> welcome_server(PeerTalk& talk, std::string server, std::string certificate, bool again);

  // member_certificates.cc: certificates, revocations, the authority's key
  Result<std::string> sign(const certificates::Request& request, const topology::Server& server,
                           IssuedCertificate& issued) const;
  std::chrono::milliseconds certificate_life() const;
  Task<void> keep_certificate();
  bool certificate_is_outdated() const;
  std::string own_signer() const;
  std::vector<std::string> signers() const;
  Task<std::string> renew();
  Task<std::string> issue(std::string server, std::string request, std::string& certificate);
  Task<std::string> answer_renew(PeerTalk& talk);
  Task<std::string> answer_authority_key(PeerTalk& talk);
  void take_authority(const std::string& text);
  void take_revoked(const std::string& text);
  void write_revocations();
  Task<void> keep_authority();
  Task<std::string> fetch_authority();
  Task<void> report_trust();
  Task<std::string> answer_revoke(std::string line, Conversation& conversation);
  Task<std::string> take_over_from(std::string server, cluster::Version seen);

  // member_rotation.cc
  Task<std::string> answer_certificates(std::string line, Conversation& conversation);
  Task<std::string> answer_rotate(std::string line, Conversation& conversation);
  Task<std::string> answer_peer_rotate(PeerTalk& talk);
  Task<std::string> begin_rotation();
  Task<std::string> begin_rotation_alone();
  Task<void> advance_rotation();
  bool all_servers(bool (*hold)(const ServerValue& server, const std::string& fingerprint)) const;
  void promote_next();

  // member_site.cc: the site as a whole
  Task<std::string> answer_ping(std::string line, Conversation& conversation);
  Task<std::string> answer_status(std::string line, Conversation& conversation);
  Task<std::string> answer_peer_status(PeerTalk& talk);
  Task<std::string> own_status();
  Task<std::string> answer_logs(std::string line, Conversation& conversation);
  Task<std::string> answer_peer_logs(PeerTalk& talk);
  Task<std::string> answer_on_server(std::string line, Conversation& conversation);
  Task<std::string> answer_restart(std::string line, Conversation& conversation);
  Task<std::string> answer_peer_control(PeerTalk& talk);
  Task<std::string> ask_own_controller(std::string question, Conversation& conversation, Time deadline);

  // member_secrets.cc
  SecretVersions own_secrets() const;
  Task<std::string> store_secret(std::string name, int64_t version, std::optional<std::string> value);
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
  Alarm renew_now_;
  Alarm authority_changed_;
  bool shared_known_ = false;
  bool rotation_begins_ = false;

  struct OpenCall {
    std::string server;
    cluster::Call* call;
  };
  std::list<OpenCall> calls_;
  std::map<std::string, std::chrono::milliseconds> clocks_;  // theirs less ours
  std::map<std::string, Time> clock_said_;

  std::unique_ptr<net::Listener> socket_;
  int conversations_ = 0;  // on the socket
};

}  // namespace terrace::program
