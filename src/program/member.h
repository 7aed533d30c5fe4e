#pragma once

// The member: this server as one of several of a site. It alone holds the server's
// private key, speaks with the other servers (cluster/channel.h), keeps what they share
// (cluster/state.h) and acts for the site as a whole: it asks the controller of this
// server over <run>/control.sock and the members of the others over their channel, and
// answers people on <run>/cluster/member.sock (member_commands.h).
//
// No request of a visitor passes through it. It may die at any moment: the controller
// and the worker go on with what they have, and what it must not forget is on disk.
// One thread, one reactor. It never unwinds: it leaves with the supervisor's channel,
// and what it has started ends with it.

#include <memory>
#include <string>

#include "base/log.h"
#include "net/listener.h"
#include "program/channel.h"
#include "program/conversation.h"
#include "program/folders.h"
#include "program/records.h"
#include "program/terrace_log.h"
#include "reactor/reactor.h"
#include "reactor/scope.h"
#include "topology/site.h"

namespace terrace::program {

class Member final : net::Acceptor {
 public:
  Member(Reactor& reactor, Log& log);
  Result<void> start();

 private:
  // member.cc: the supervisor
  Task<void> read_supervisor();
  void handle(Received& received);
  void handle_welcome(const Welcome& welcome);
  void handle_site(const Site& record, const Descriptor& text);

  // member_commands.cc: people
  Result<void> open_socket();
  void accepted(Descriptor socket, const net::Peer& peer) override;
  Task<void> serve(Descriptor socket);
  Task<std::string> answer(std::string_view line, Conversation& conversation);

  Reactor& reactor_;
  Log& log_;
  std::unique_ptr<TerraceLog> terrace_log_;  // what log_ copies to
  Scope scope_;
  Descriptor supervisor_;
  Watch supervisor_watch_;
  Welcome welcome_;
  Folders folders_;
  // As this server has accepted it. `${…}` is not replaced, except that no value which
  // the member needs may hold one.
  std::shared_ptr<const topology::Site> site_;
  std::string site_text_;

  std::unique_ptr<net::Listener> socket_;
  int conversations_ = 0;  // on the socket
};

}  // namespace terrace::program
