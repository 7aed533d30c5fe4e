// What a request costs from the exchange's head to its answer, without the network.
//   ninja -C build/release web_bench && build/release/web_bench

#include <benchmark/benchmark.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "base/log.h"
#include "reactor/scope.h"
#include "web/file_server.h"

namespace terrace::web {
namespace {

// Takes an answer and forgets it.
class NullExchange final : public http::Exchange {
 public:
  NullExchange(Reactor& reactor, std::string_view path) : reactor_(reactor) {
    head_.target = head_.path = path;
    head_.authority = "localhost";
    add("Host", "localhost");
    add("User-Agent", "bench");
    add("Accept", "text/html,*/*");
  }
  void add(std::string_view name, std::string_view value) {
    head_.fields.add({.name = name, .value = value, .id = http::header_id(name), .hop_by_hop = false});
  }
  http::RequestHead& request() override { return head_; }
  const net::Peer& peer() const override { return peer_; }
  Reactor& reactor() override { return reactor_; }
  Time started() const override { return reactor_.now(); }
  Task<Result<std::string_view>> read_body() override {
    return Task<Result<std::string_view>>::ready(std::string_view());
  }
  void begin(const http::ResponseHead& head, std::optional<uint64_t> length) override {
    status_ = head.status;
    fields_ = head.fields.size();
    benchmark::DoNotOptimize(length);
  }
  Task<Result<void>> write(std::string_view) override { return Task<Result<void>>::ready({}); }
  Task<Result<void>> write_last(std::string_view) override { return Task<Result<void>>::ready({}); }
  Task<Result<void>> flush() override { return Task<Result<void>>::ready({}); }
  Task<Result<void>> send_file(int, off_t, uint64_t) override { return Task<Result<void>>::ready({}); }
  Task<Result<void>> finish() override { return Task<Result<void>>::ready({}); }
  Task<Result<void>> respond(const http::ResponseHead& head, std::string_view body) override {
    begin(head, body.size());
    return write_last(body);
  }
  void abort() override {}
  void cancel() override {}
  void link(http::Cancellable*) override {}
  void stop_reading() override {}
  bool client_ended() const override { return false; }
  int status() const override { return status_; }
  bool begun() const override { return false; }
  uint64_t body_bytes_sent() const override { return 0; }
  uint64_t body_bytes_received() const override { return 0; }

 private:
  Reactor& reactor_;
  http::RequestHead head_;
  net::Peer peer_;
  int status_ = 0;
  int fields_ = 0;
};

Task<void> close(FileServer& server, bool& done) {
  co_await server.close();
  done = true;
}

// A server over a folder with a page of 1 KiB, a style sheet and a picture of 100 KiB.
struct Setting {
  Setting() {
    std::filesystem::create_directories(folder);
    std::ofstream(folder + "/index.html") << std::string(1024, 'x');
    std::ofstream(folder + "/picture.png") << std::string(100 << 10, 'x');
    auto site = std::make_shared<topology::Site>();
    site->web.files = folder;
    server = FileServer::create(*reactor, site, true, {}, log).value();
  }
  ~Setting() {
    bool closed = false;
    scope.spawn(close(*server, closed));
    reactor->run_until(closed, std::chrono::seconds(5));
    std::filesystem::remove_all(folder);
  }
  std::string folder = std::filesystem::temp_directory_path().string() + "/web-bench";
  SystemClock clock;
  Log log{"bench"};
  std::unique_ptr<Reactor> reactor = Reactor::create(clock, {}).value();
  Scope scope;
  std::unique_ptr<FileServer> server;
};

Task<void> serve(FileServer& server, http::Exchange& exchange, bool& done) {
  benchmark::DoNotOptimize(co_await server.serve(exchange));
  done = true;
}

void run(benchmark::State& state, NullExchange& exchange, Setting& setting) {
  bool warm = false;
  setting.scope.spawn(serve(*setting.server, exchange, warm));
  setting.reactor->run_until(warm, std::chrono::seconds(5));
  for (auto _ : state) {
    const Task<Served> served = setting.server->serve(exchange);
    if (!served.await_ready()) state.SkipWithError("a frame was made");
  }
}

void one_kilobyte(benchmark::State& state) {
  Setting setting;
  NullExchange exchange(*setting.reactor, "/index.html");
  run(state, exchange, setting);
}
BENCHMARK(one_kilobyte);

void not_modified(benchmark::State& state) {
  Setting setting;
  NullExchange exchange(*setting.reactor, "/index.html");
  exchange.add("If-None-Match", "*");
  run(state, exchange, setting);
}
BENCHMARK(not_modified);

void compressed(benchmark::State& state) {
  Setting setting;
  NullExchange exchange(*setting.reactor, "/index.html");
  exchange.add("Accept-Encoding", "gzip, deflate, br, zstd");
  run(state, exchange, setting);
}
BENCHMARK(compressed);

void open_file(benchmark::State& state) {
  Setting setting;
  NullExchange exchange(*setting.reactor, "/picture.png");
  run(state, exchange, setting);
}
BENCHMARK(open_file);

void left_to_the_app(benchmark::State& state) {
  Setting setting;
  NullExchange exchange(*setting.reactor, "/api/users/12345");
  run(state, exchange, setting);
}
BENCHMARK(left_to_the_app);

}  // namespace
}  // namespace terrace::web
