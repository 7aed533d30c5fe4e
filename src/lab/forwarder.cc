#include "lab/forwarder.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <unistd.h>

#include <chrono>
#include <memory>

#include "base/log.h"
#include "net/listener.h"
#include "net/stream.h"
#include "reactor/scope.h"

namespace terrace::lab {
namespace {

using std::chrono::seconds;

constexpr int kConnectionsMax = 1000;
constexpr std::chrono::milliseconds kConnectTimeout{1500};
// So long nobody is sent to an entry that did not take a connection, unless all are such.
constexpr seconds kAvoided{5};
// As long as the site keeps a WebSocket on which nothing is said, and more.
constexpr std::chrono::hours kSilenceMax{1};
constexpr seconds kTakeTimeout{60};

// Until the end of `from`, which is passed on as well. An end by force closes both.
Task<void> pass_on(net::Stream& from, net::Stream& to) {
  for (;;) {
    const std::span<char> scratch = from.reactor().scratch();
    const Result<size_t> read = from.read_now(scratch);
    if (!read && read.error().code == Code::kWouldBlock) {
      const Result<void> readable = co_await from.readable(from.reactor().now() + kSilenceMax);
      if (!readable) break;
      continue;
    }
    if (!read) break;
    if (*read == 0) {
      (void)to.shutdown_write();
      co_return;
    }
    const std::string bytes(scratch.data(), *read);
    const Result<void> written = co_await to.write_all(bytes, kTakeTimeout);
    if (!written) break;
  }
  from.cancel();
  to.cancel();
}

class Forwarder final : public net::Acceptor {
 public:
  Forwarder(Reactor& reactor, const Plan& plan) : reactor_(reactor) {
    for (const PlannedMachine& machine : plan.machines) {
      if (!machine.entry) continue;
      const Result<net::Address> address =
          net::Address::parse(print(machine.address) + ":" + std::to_string(plan.web_port));
      if (address) entries_.push_back({.address = *address, .avoided_until = {}});
    }
  }

  void accepted(Descriptor socket, const net::Peer&) override {
    if (connections_ >= kConnectionsMax || entries_.empty()) return;
    ++connections_;
    scope_.spawn(serve(std::move(socket)));
  }

 private:
  Task<void> serve(Descriptor socket) {
    net::Stream client;
    net::Stream site;
    if (client.open(reactor_, std::move(socket))) {
      const bool connected = co_await connect(site);
      if (connected) {
        Scope back;
        back.spawn(pass_on(site, client));
        co_await pass_on(client, site);
        co_await back.join();
      }
    }
    --connections_;
  }

  struct Entry {
    net::Address address;
    Time avoided_until;
  };

  Task<bool> connect(net::Stream& site) {
    const size_t first = next_++;
    const Time began = reactor_.now();
    for (const bool avoided : {false, true}) {
      for (size_t i = 0; i < entries_.size(); ++i) {
        Entry& entry = entries_[(first + i) % entries_.size()];
        if ((entry.avoided_until > began) != avoided || entry.avoided_until > began + kAvoided) continue;
        const Time deadline = reactor_.now() + kConnectTimeout;
        const Result<void> connected = co_await site.connect(reactor_, entry.address, deadline);
        if (connected) co_return true;
        entry.avoided_until = reactor_.now() + kAvoided;
        site.close();
      }
    }
    co_return false;
  }

  Reactor& reactor_;
  std::vector<Entry> entries_;
  size_t next_ = 0;
  int connections_ = 0;
  Scope scope_;
};

}  // namespace

void run_forwarder(const Plan& plan, int listener, int network) {
  sigset_t none;
  ::sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  ::signal(SIGPIPE, SIG_IGN);
  if (::setns(network, CLONE_NEWNET) != 0) ::_exit(1);
  const SystemClock clock;
  const Log log("lab");
  Result<std::unique_ptr<Reactor>> reactor = Reactor::create(clock, {});
  if (!reactor) ::_exit(1);
  Forwarder forwarder(**reactor, plan);
  net::Listener accepting(**reactor, Descriptor(::fcntl(listener, F_DUPFD_CLOEXEC, 3)), forwarder, log);
  if (!accepting.start()) ::_exit(1);
  (*reactor)->run();
  ::_exit(0);
}

}  // namespace terrace::lab
