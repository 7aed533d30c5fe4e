// The promise that a proxied request allocates nothing in steady state, counted at
// operator new itself, so that strings and containers count as well as our pools.

#include <gtest/gtest.h>

#include <cstdlib>
#include <new>

#include "app/proxy.h"
#include "http/live_test.h"

namespace {
thread_local uint64_t allocations = 0;
}  // namespace

void* operator new(size_t bytes) {
  ++allocations;
  void* memory = std::malloc(bytes);
  if (memory == nullptr) std::abort();
  return memory;
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, size_t) noexcept { std::free(memory); }

namespace terrace::app {
namespace {

using http::LiveServer;
using http::RawClient;

class Instance200 final : public http::Handler {
 public:
  Task<void> handle(http::Exchange& exchange) override {
    http::ResponseHead head;
    head.fields.add({"Content-Type", "text/plain", http::HeaderId::kContentType, false});
    (void)co_await exchange.respond(head, "hello from the app");
  }
  void refused(int, const char*, const net::Peer&) override {}
  std::string_view error_page(int) override { return ""; }
};

class Front final : public http::Handler, public InstanceEvents {
 public:
  Front(Reactor& reactor, uint16_t port) : backends_(reactor, *this, {}), proxy_(reactor, backends_, {}) {
    backends_.update({.slot = 1,
                      .generation = 1,
                      .state = InstanceState::kUp,
                      .address = net::Address::loopback(port),
                      .name = "app-1",
                      .metrics = nullptr});
  }
  Task<void> handle(http::Exchange& exchange) override {
    const http::UpstreamContext context{.peer = exchange.peer(), .scheme = "http", .request_id = "id"};
    const Outcome outcome = co_await proxy_.handle(exchange, context, {});
    EXPECT_EQ(outcome.error_status, 0) << outcome.why;
  }
  void refused(int, const char*, const net::Peer&) override {}
  std::string_view error_page(int) override { return ""; }
  void drained(uint32_t, uint32_t) override {}
  void failed(uint32_t, uint32_t, uint32_t) override {}

 private:
  Backends backends_;
  Proxy proxy_;
};

uint64_t allocations_of(LiveServer& server) {
  uint64_t counted = 0;
  std::atomic<bool> done{false};
  submit(server.reactor(), [&] {
    counted = allocations;
    done = true;
    done.notify_one();
  });
  done.wait(false);
  return counted;
}

TEST(Allocation, AProxiedRequestAllocatesNothingInSteadyState) {
  LiveServer instance({}, [](Reactor&) { return std::make_unique<Instance200>(); });
  LiveServer front({}, [&](Reactor& reactor) { return std::make_unique<Front>(reactor, instance.port); });
  RawClient client(front.port);
  const auto ask = [&] {
    client.send("GET /a HTTP/1.1\r\nHost: x\r\nUser-Agent: test\r\n\r\n");
    EXPECT_NE(client.read_until("from the app").find("200 OK"), std::string::npos);
  };
  for (int i = 0; i < 50; ++i) ask();
  const uint64_t before = allocations_of(front);
  // What the counting itself costs: the job that asks.
  const uint64_t asking = allocations_of(front) - before;
  const uint64_t start = allocations_of(front);
  for (int i = 0; i < 500; ++i) ask();
  EXPECT_EQ(allocations_of(front) - start, asking);
}

}  // namespace
}  // namespace terrace::app
