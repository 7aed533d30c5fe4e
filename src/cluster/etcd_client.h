#pragma once

#include <memory>
#include <string>
#include <vector>

#include "cluster/state_json.h"
#include "http/client.h"
#include "net/address.h"
#include "reactor/reactor.h"

namespace terrace::cluster {

// Asks this server's etcd over the JSON gateway at its Unix socket, which lies in a
// folder that only the member's user can enter (etcd_process.h).
class EtcdClient {
 public:
  // An answer has the whole state at most.
  static constexpr size_t kAnswerBytesMax = kStateTextBytesMax;
  static constexpr size_t kIdleMax = 4;

  EtcdClient(Reactor& reactor, net::Address address) : reactor_(reactor), address_(address) {}

  struct Answer {
    int status = 0;
    std::string body;
  };
  // POST. kUnavailable: certainly not received; any other error: it may have been.
  Task<Result<Answer>> post(std::string path, std::string body, Time deadline);

 private:
  Task<Result<std::unique_ptr<http::ClientConnection>>> connection(Time deadline);
  Task<Result<Answer>> exchange(http::ClientConnection& connection, std::string request, Time deadline);

  Reactor& reactor_;
  net::Address address_;
  std::vector<std::unique_ptr<http::ClientConnection>> idle_;
};

}  // namespace terrace::cluster
