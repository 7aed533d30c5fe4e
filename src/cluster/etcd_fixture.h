#pragma once

#include <sys/socket.h>

#include "cluster/etcd_client.h"
#include "cluster/etcd_process.h"
#include "cluster/etcd_state.h"
#include "cluster/state_fixture.h"
#include "net/listener.h"

namespace terrace::cluster {

// For tests: a port that nobody listens on at the moment.
inline uint16_t free_port(const std::string& ip) {
  const Descriptor socket = net::listen_on(net::Address::parse(ip + ":0").value()).value();
  sockaddr_storage bound{};
  socklen_t length = sizeof bound;
  ::getsockname(socket.get(), reinterpret_cast<sockaddr*>(&bound), &length);
  return net::Address::from(bound, length).port();
}

// For tests: one voter, a real etcd with what asks it.
struct TestVoter {
  TestVoter(Reactor& reactor, const Log& log, std::string where)
      : folder(std::move(where)), process(reactor, log) {
    client = std::make_unique<EtcdClient>(reactor, EtcdProcess::client_address(folder).value());
    state = std::make_unique<EtcdState>(reactor, log, *client);
  }
  std::string folder;
  EtcdProcess process;
  std::unique_ptr<EtcdClient> client;
  std::unique_ptr<EtcdState> state;
};

}  // namespace terrace::cluster
