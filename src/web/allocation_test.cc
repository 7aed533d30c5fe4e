// In steady state a request allocates nothing, neither a coroutine frame nor
// anything else: counted by the program's own operator new.

#include <cstdlib>
#include <new>

#include "reactor/frame_pool.h"
#include "web/site_fixture.h"

namespace {
uint64_t allocations = 0;  // of this thread's tests; the helper thread is idle when they count
}

// NOLINTBEGIN(misc-new-delete-overloads)
void* operator new(std::size_t bytes) {
  ++allocations;
  if (void* memory = std::malloc(bytes)) return memory;
  throw std::bad_alloc();
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
// NOLINTEND(misc-new-delete-overloads)

namespace terrace::web {
namespace {

// Takes any answer and keeps nothing of it.
class ForgetfulExchange final : public http::Exchange {
 public:
  ForgetfulExchange(Reactor& reactor, std::string_view path) : reactor_(reactor) {
    head_.target = head_.path = path;
  }
  http::RequestHead& request() override { return head_; }
  const net::Peer& peer() const override { return peer_; }
  Reactor& reactor() override { return reactor_; }
  Time started() const override { return reactor_.now(); }
  Task<Result<std::string_view>> read_body() override {
    return Task<Result<std::string_view>>::ready(std::string_view());
  }
  void begin(const http::ResponseHead& head, std::optional<uint64_t>) override { status_ = head.status; }
  Task<Result<void>> write(std::string_view) override { return Task<Result<void>>::ready({}); }
  Task<Result<void>> write_last(std::string_view) override { return Task<Result<void>>::ready({}); }
  Task<Result<void>> flush() override { return Task<Result<void>>::ready({}); }
  Task<Result<void>> send_file(int, off_t, uint64_t) override { return Task<Result<void>>::ready({}); }
  Task<Result<void>> finish() override { return Task<Result<void>>::ready({}); }
  Task<Result<void>> respond(const http::ResponseHead& head, std::string_view body) override {
    begin(head, body.size());
    return Task<Result<void>>::ready({});
  }
  void abort() override {}
  void cancel() override {}
  void link(http::Cancellable*) override {}
  void stop_reading() override {}
  bool client_ended() const override { return false; }
  int status() const override { return status_; }
  bool begun() const override { return status_ != 0; }
  uint64_t body_bytes_sent() const override { return 0; }
  uint64_t body_bytes_received() const override { return 0; }

 private:
  Reactor& reactor_;
  http::RequestHead head_;
  net::Peer peer_;
  int status_ = 0;
};

class AllocationTest : public SiteFixture {
 protected:
  // How many allocations 1,000 such requests make once everything is warm.
  uint64_t count(const char* path, std::string_view field = {}, std::string_view value = {}) {
    ForgetfulExchange exchange(*reactor_, path);
    if (!field.empty()) {
      exchange.request().fields.add(
          {.name = field, .value = value, .id = http::header_id(field), .hop_by_hop = false});
    }
    bool done = false;
    scope_.spawn(ask(*server_, exchange, done));
    EXPECT_TRUE(reactor_->run_until(done, std::chrono::seconds(5)));
    const uint64_t before = allocations;
    const uint64_t frames_before = FramePool::heap_allocations();
    for (int i = 0; i < 1000; ++i) {
      const Task<Served> served = server_->serve(exchange);
      EXPECT_TRUE(served.await_ready());
    }
    EXPECT_EQ(FramePool::heap_allocations(), frames_before);
    return allocations - before;
  }
  static Task<void> ask(FileServer& server, http::Exchange& exchange, bool& done) {
    [[maybe_unused]] const Served served = co_await server.serve(exchange);
    done = true;
  }
};

TEST_F(AllocationTest, AFileInTheCacheCostsNone) {
  limits_.content_bytes_max = 10'000;
  write("/small.css", std::string(1000, 'x'));
  write("/large.bin", std::string(50'000, 'x'));
  start();
  EXPECT_EQ(count("/small.css"), 0u);
  EXPECT_EQ(count("/large.bin"), 0u);
  EXPECT_EQ(count("/small.css", "Accept-Encoding", "gzip, deflate, br, zstd"), 0u);
  EXPECT_EQ(count("/small.css", "If-None-Match", "*"), 0u);
}

TEST_F(AllocationTest, ARequestForTheAppCostsNone) {
  has_app_ = true;
  start();
  EXPECT_EQ(count("/api/users/1"), 0u);
}

TEST_F(AllocationTest, AMissingFileCostsNone) {
  start();
  EXPECT_EQ(count("/missing"), 0u);
}

}  // namespace
}  // namespace terrace::web
