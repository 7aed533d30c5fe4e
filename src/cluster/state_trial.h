#pragma once

// A trial of the shared state for tests: servers as processes of their own, with real
// etcds, that are killed, frozen and cut off while clients read and write; what they saw
// is recorded and checked for linearizability. `state_trial` runs one scenario.

#include <string>
#include <vector>

#include "cluster/shared_state.h"

namespace terrace::cluster::trial {

// A request over a Unix socket, <folder>/<server>.sock: length (4 bytes, of this machine),
// the asker's name, a line end, a text of state_json.h. The answer: length, text. Who asks
// as kClient is answered as a program on that server is, from wherever the state is held.
constexpr const char* kClient = "client";

// A cut is a file <folder>/cuts/FROM-TO: no request passes, no answer comes back.
std::string cut_file(const std::string& folder, const std::string& from, const std::string& to);

class SocketTransport final : public StateTransport {
 public:
  SocketTransport(Reactor& reactor, std::string folder, std::string self)
      : reactor_(reactor), folder_(std::move(folder)), self_(std::move(self)) {}
  Task<Result<std::string>> ask(std::string server, std::string request, Time deadline) override;

 private:
  bool cut(const std::string& server) const;
  Reactor& reactor_;
  std::string folder_;
  std::string self_;
};

Task<Result<void>> send_text(net::Stream& stream, std::string text);
Task<Result<std::string>> receive_text(net::Stream& stream, Time deadline);

// <folder>/servers: the servers of the site, one "name=url" per line, as they stand in
// the file; read again and again.
std::vector<SiteServer> read_servers(const std::string& folder);

struct ServerOptions {
  std::string folder;
  std::string name;
  bool founds = false;       // the site begins with this server
  std::string first;         // the one that founded it
  bool stale_reads = false;  // answers from its copy: what a checker has to find
};
// Runs until it is killed.
int run_server(const ServerOptions& options);

}  // namespace terrace::cluster::trial
