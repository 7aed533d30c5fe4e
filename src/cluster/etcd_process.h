#pragma once

// Debian's etcd-server as a child of this process: started, watched, started again when
// it ends, and gone when we are (PR_SET_PDEATHSIG).
//
// Clients reach it at a Unix socket in its folder, which only our user can enter: it has
// no port for them at all. The other voters reach it at its peer port, with certificates
// of the site on both ends.
//
// Reactor's thread only, which must be the process's main thread: the kernel ends the
// child when the thread that started it ends.

#include <deque>
#include <string>
#include <vector>

#include "base/descriptor.h"
#include "base/log.h"
#include "cluster/etcd_room.h"
#include "net/address.h"
#include "reactor/mailbox.h"
#include "reactor/scope.h"

namespace terrace::cluster {

struct EtcdPeer {
  std::string name;
  std::string url;  // "https://10.0.0.11:7401"
  bool operator==(const EtcdPeer&) const = default;
};

// What the authority adds to the certificate of a voter (certificates::Subject::names):
// etcd knows no roles, and without it every server of the site could be its peer. The dot
// keeps it apart from the names of servers, which are in certificates in the same place.
inline constexpr const char* kVoterName = "voter.site";

struct EtcdOptions {
  std::string program = "/usr/bin/etcd";
  std::string folder;  // 0700; made when it is missing
  std::string name;    // of this server
  // Of the cluster when this member joins it, with this member itself. Only read as long
  // as there is no data.
  std::vector<EtcdPeer> peers;
  bool founds = false;  // the cluster begins with this member
  // Makes the founded cluster another one than any that this server founded before: a member
  // of that one, which still has its data, must not be taken for one of this.
  std::string token = "terrace";
  int64_t quota_bytes = kEtcdQuotaBytes;
  // Certificate, key, authorities and revocations for the peer port, as files. etcd reads
  // the certificate and the revocations anew for each connection, the authorities only
  // when it starts. Empty: none, for tests.
  std::string certificate_file;
  std::string key_file;
  std::string authorities_file;
  std::string revocations_file;  // may be empty
  // The DNS name that a peer's certificate must have: kVoterName. Empty: any of the site.
  std::string peer_name;
};

// The socket, relative to the folder. etcd wants a port behind it and makes it part of
// the name.
constexpr const char* kEtcdSocket = "client.sock:0";

// What is started, in the folder: argument by argument.
std::vector<std::string> etcd_arguments(const EtcdOptions& options);

class EtcdProcess {
 public:
  // Kept of what it said last.
  static constexpr size_t kLinesMax = 40;
  static constexpr size_t kLineBytesMax = 500;
  // Lines that go into our log in one kLogTurn; of the others only the number.
  static constexpr int kLogLinesMax = 20;
  static constexpr Duration kLogTurn = std::chrono::seconds(10);
  static constexpr Duration kStopMax = std::chrono::seconds(3);

  EtcdProcess(Reactor& reactor, const Log& log);

  // Where clients reach it. kInvalid when the folder's path is too long for a socket.
  static Result<net::Address> client_address(const std::string& folder);

  // Starts it, and again whenever it ends, until close(). Once. kNotFound: there is no
  // etcd on this machine.
  Result<void> start(EtcdOptions options);
  // Ends it, as close() does, so that it is started anew at once, with these: other authorities.
  void restart(EtcdOptions options);
  // SIGTERM, after kStopMax SIGKILL; it has ended when this has.
  Task<void> close();

  bool running() const { return pid_ > 0; }
  pid_t pid() const { return pid_; }
  uint32_t starts() const { return starts_; }
  // The others took this member out while it was away: with the data that it has it will
  // never run again.
  bool removed() const { return removed_; }
  const std::deque<std::string>& lines() const { return lines_; }

 private:
  Result<void> launch();
  Task<void> run();
  Task<void> listen();
  Task<void> end();
  void take(std::string_view bytes);
  void take_line(std::string line);
  void ended(int status);

  Reactor& reactor_;
  const Log& log_;
  EtcdOptions options_;
  pid_t pid_ = 0;
  Descriptor pidfd_;
  Descriptor output_;
  Watch exit_;
  Watch said_;
  std::string partial_;
  std::deque<std::string> lines_;
  Time turn_;
  int turn_lines_ = 0;
  std::string said_now_;  // the last line of this turn
  uint32_t starts_ = 0;
  uint32_t short_lives_ = 0;
  bool removed_ = false;
  Time started_;
  Event gone_;      // this run of it has ended
  Event stopping_;  // close() was called
  Scope scope_;
};

}  // namespace terrace::cluster
