#include "lb/proxy_front.h"

#include <algorithm>

namespace terrace::lb {

struct ProxyFront::Waiting {
  net::Stream stream;
  net::Peer peer;
};

void ProxyFront::accepted(Descriptor socket, const net::Peer& peer) {
  const bool proxy =
      std::ranges::any_of(networks_, [&](const net::Network& network) { return network.contains(peer.ip); });
  if (!proxy) return behind_.accepted(std::move(socket), peer);
  if (closing_ || waiting_.size() >= kWaitingMax) return;
  auto waiting = std::make_unique<Waiting>();
  waiting->peer = peer;
  if (waiting->stream.open(reactor_, std::move(socket))) scope_.spawn(receive(std::move(waiting)));
}

Task<void> ProxyFront::receive(std::unique_ptr<Waiting> waiting) {
  waiting_.push_back(waiting.get());
  const Time deadline = reactor_.now() + kHeaderTimeout;
  const Result<net::ProxyHeader> header = co_await net::receive_proxy_header(waiting->stream, deadline);
  std::erase(waiting_, waiting.get());
  if (!header) {
    if (!closing_) say(waiting->peer, header.error());
    waiting->stream.abort();
    co_return;
  }
  behind_.accepted(waiting->stream.release(), header->local ? waiting->peer : header->source);
}

void ProxyFront::say(const net::Peer& peer, const Error& why) {
  if (reactor_.now() < quiet_until_) return;
  quiet_until_ = reactor_.now() + kQuiet;
  char from[64];
  log_.warning("a connection from an address of [lb] proxy_from has no PROXY header, and is closed",
               {{"from", peer.ip.print(from)}, {"why", why.text}});
}

Task<void> ProxyFront::close() {
  closing_ = true;
  for (Waiting* one : waiting_) one->stream.cancel();
  co_await scope_.join();
}

}  // namespace terrace::lb
