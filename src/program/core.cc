#include "program/core.h"

#include <algorithm>

#include "program/core_site.h"

namespace terrace::program {
namespace {

constexpr Duration kTick = std::chrono::milliseconds(100);
// What waits in the access log's buffer leaves after this many ticks.
constexpr int kTicksPerFlush = 2;
constexpr int kTicksPerSweep = 10;
// How long an idle connection may still ask a worker that has a successor. Shorter
// than the drain of an instance (app::kDrainMax): this worker does not hear of new ones.
constexpr Duration kIdleAtRetirement = std::chrono::seconds(15);
// For connections that were being made when their address was given up.
constexpr Duration kListenerLinger = std::chrono::milliseconds(100);
// What a worker that follows another one spends on its connections to web servers before it takes
// visitors; one that does not answer is not waited for any longer.
constexpr Duration kHopsOpenLimit = std::chrono::seconds(1);

int share(int total, int cores) { return std::max(1, (total + cores - 1) / cores); }

http::ServerLimits server_limits(const topology::Site& site, const topology::Machine& machine) {
  http::ServerLimits limits;
  limits.head_timeout = site.web.head_timeout;
  limits.idle_timeout = site.web.idle_timeout;
  limits.body_bytes_max = static_cast<uint64_t>(site.web.body_bytes_max);
  limits.connections_max = share(topology::derive(site, machine).connections_max, machine.cores);
  return limits;
}

app::ProxyOptions proxy_options(const topology::Site& site, bool held) {
  constexpr Duration kPatience = std::chrono::milliseconds(kHoldPatienceMs);
  app::ProxyOptions options;
  options.queue_timeout =
      held ? std::max<Duration>(site.app.queue_timeout, kPatience) : site.app.queue_timeout;
  options.response_timeout = site.app.response_timeout;
  return options;
}

web::Limits file_limits(const topology::Site& site, const topology::Machine& machine) {
  const topology::Derived derived = topology::derive(site, machine);
  web::Limits limits;
  limits.cache_bytes_max = static_cast<uint64_t>(derived.cache_bytes_max);
  limits.entries_max = derived.cache_entries_max;
  return limits;
}

}  // namespace

struct Core::Heard final : net::Acceptor {
  explicit Heard(const lb::Pools& of) : pools(of) {}
  // Of Purpose::kTcp: which pool takes it may change with the site.
  void accepted(Descriptor taken, const net::Peer& peer) override {
    if (net::Acceptor* const pool = pools.acceptor(requested)) pool->accepted(std::move(taken), peer);
  }

  const lb::Pools& pools;
  Purpose purpose = Purpose::kWeb;
  std::string requested;
  Descriptor socket;  // until it is opened
  std::unique_ptr<net::Listener> listener;
};

// The admin address: /metrics, for the loopback only.
class Core::AdminHandler final : public http::Handler {
 public:
  explicit AdminHandler(CoreEvents& events) : events_(events) {}

  Task<void> handle(http::Exchange& exchange) override {
    const http::RequestHead& request = exchange.request();
    http::ResponseHead head;
    std::string page;
    if (request.path != "/metrics") {
      head.status = 404;
      page = "Look at /metrics.\n";
    } else if (request.method != http::Method::kGet && request.method != http::Method::kHead) {
      head.status = 405;
      head.fields.add({"Allow", "GET, HEAD", http::HeaderId::kAllow, false});
    } else {
      page = events_.metrics_page();
    }
    head.fields.add(
        {"Content-Type", "text/plain; version=0.0.4; charset=utf-8", http::HeaderId::kContentType, false});
    (void)co_await exchange.respond(head, page);
  }
  void refused(int, const char*, const net::Peer&) override {}
  std::string_view error_page(int) override { return "refused\n"; }

 private:
  CoreEvents& events_;
};

Core::Core(Reactor& reactor, CoreEvents& events, const Options& options, const Log& log)
    : reactor_(reactor),
      events_(events),
      options_(options),
      log_(log),
      backends_(reactor, *this, {}),
      proxy_(reactor, backends_, {}),
      server_(reactor, *this, {}, log),
      front_(reactor, server_, log),
      admin_handler_(std::make_unique<AdminHandler>(events)),
      admin_server_(reactor, *admin_handler_, {}, log),
      hop_(reactor, *this, *this, log),
      pools_(reactor, *this,
             {.number = options.index, .count = static_cast<size_t>(std::max(1, options.machine.cores))},
             log),
      watches_(reactor, *this),
      upstreams_(reactor),
      forwarder_(reactor, pools_, upstreams_, *this) {}

Core::~Core() = default;

void Core::start() { scope_.spawn(run_ticks()); }

// ---- what the main thread says -------------------------------------------------

void Core::add_listener(const Listener& record, Descriptor socket) {
  if (stopping_) return;
  auto heard = std::make_unique<Heard>(pools_);
  heard->purpose = record.purpose;
  heard->requested = record.requested.view();
  heard->socket = std::move(socket);
  if (site_) open_listener(*heard);
  listeners_.push_back(std::move(heard));
}

net::Acceptor& Core::acceptor_of(Heard& heard) {
  switch (heard.purpose) {
    case Purpose::kWeb:
      return front_;
    case Purpose::kAdmin:
      return admin_server_;
    case Purpose::kTcp:
      return heard;
    case Purpose::kHop:
      return hop_;
  }
  return front_;
}

void Core::open_listener(Heard& heard) {
  heard.listener =
      std::make_unique<net::Listener>(reactor_, std::move(heard.socket), acceptor_of(heard), log_);
  const Result<void> started = heard.listener->start();
  if (!started)
    log_.error("cannot listen", {{"address", heard.requested}, {"error", describe(started.error())}});
}

void Core::remove_listener(Purpose purpose, std::string_view requested) {
  for (std::unique_ptr<Heard>& heard : listeners_) {
    if (heard->purpose == purpose && heard->requested == requested)
      scope_.spawn(close_listener(std::move(heard)));
  }
  std::erase(listeners_, nullptr);
}

Task<void> Core::close_listener(std::unique_ptr<Heard> heard) {
  if (!stopping_) co_await sleep(reactor_, kListenerLinger);
  if (heard->listener) co_await heard->listener->close();
}

void Core::take_site(std::shared_ptr<const topology::Site> site, const SiteHere& here) {
  if (stopping_) return;
  auto next = std::make_unique<ServedSite>();
  next->site = site;
  next->release = here.release;
  Result<std::unique_ptr<web::FileServer>> files = web::FileServer::create(
      reactor_, site, !site->app.run.empty(), file_limits(*site, options_.machine), log_);
  if (!files) {
    log_.error("cannot serve the files of the site", {{"error", describe(files.error())}});
    events_.core_took_site(here.version, true);
    return;
  }
  next->files = std::move(*files);
  for (const std::string& text : site->web.trusted) {
    if (const Result<net::Network> network = net::Network::parse(text)) next->trusted.push_back(*network);
  }
  apply_limits(*site);
  copy_static_counters();
  static_said_ = {};
  const bool first = site_ == nullptr;
  std::swap(site_, next);
  hop_.use_site(site);
  if (next) scope_.spawn(retire_site(std::move(next)));
  begin_access_log();
  balance(*site, here);
  version_ = here.version;
  if (first && options_.follows && balances_)
    scope_.spawn(serve_with_hops(here.version));
  else
    begin_serving();
}

void Core::begin_serving() {
  for (const std::unique_ptr<Heard>& heard : listeners_) {
    if (!heard->listener) open_listener(*heard);
  }
  events_.core_took_site(version_, false);
}

// The first visitors shall not wait for handshakes: the worker before serves meanwhile.
Task<void> Core::serve_with_hops(uint32_t version) {
  co_await upstreams_.open_hops(reactor_.now() + kHopsOpenLimit);
  if (version_ == version && !stopping_) begin_serving();
}

// What a load balancer is told that asks whether this web server is well. A worker that ends
// says GOAWAY; it may have a successor, which serves.
int Core::health() const {
  const bool up = site_->site->app.run.empty() ||
                  std::ranges::any_of(backends_.instances(), [](const std::unique_ptr<app::Instance>& one) {
                    return one->state == app::InstanceState::kUp;
                  });
  return up && !drained_ ? 200 : 503;
}

void Core::apply_limits(const topology::Site& site) {
  const http::ServerLimits limits = server_limits(site, options_.machine);
  server_.set_limits(limits);
  hop_.set_limits(limits);
  proxy_.set_options(proxy_options(site, held_));
  backends_.set_limits({.connections_max = share(site.app.connections_max, options_.machine.cores),
                        .queue_max = share(site.app.queue, options_.machine.cores)});
}

void Core::hold(bool held) {
  held_ = held;
  if (site_) apply_limits(*site_->site);
}

void Core::drain(bool drains) {
  if (drained_ == drains) return;
  drained_ = drains;
  server_.set_closing(drains);
  hop_.set_closing(drains);
  ++drains_;
  if (drains) scope_.spawn(end_idle_of_drain(drains_));
}

// A client whose next request is on its way gets its answer; one that sends none by
// then will find another server.
Task<void> Core::end_idle_of_drain(uint32_t drain) {
  co_await sleep(reactor_, kIdleAtRetirement);
  if (drained_ && drains_ == drain) server_.close_idle();
}

Task<void> Core::retire_site(std::unique_ptr<ServedSite> old) { co_await old->files->close(); }

void Core::update_instance(const app::InstanceUpdate& update) { backends_.update(update); }

void Core::stop(Duration limit) {
  if (std::exchange(stopping_, true)) {
    pools_.hasten(limit);
    hop_.hasten(limit);
    return server_.hasten(limit);
  }
  scope_.spawn(run_stop(Duration::zero(), limit));
}

void Core::retire() {
  if (std::exchange(stopping_, true)) return;
  scope_.spawn(run_stop(kIdleAtRetirement, site_ ? site_->site->web.drain_timeout : Duration::zero()));
}

Task<void> Core::run_stop(Duration idle, Duration limit) {
  const Time end = reactor_.now() + limit;
  for (std::unique_ptr<Heard>& heard : listeners_) scope_.spawn(close_listener(std::move(heard)));
  listeners_.clear();
  // Both at once: the one of them that is done waits for the other.
  Scope hop;
  hop.spawn(hop_.drain(limit));
  co_await front_.close();
  co_await server_.drain(idle, limit);
  co_await hop.join();
  co_await admin_server_.drain(Duration::zero(), std::chrono::milliseconds(100));
  co_await watches_.close();
  co_await pools_.close(std::max(end - reactor_.now(), Duration::zero()));
  co_await upstreams_.close(Duration::zero());
  if (site_) co_await site_->files->close();
  stopped_ = true;
  if (access_log_) access_log_->flush();
  events_.core_stopped();
}

// ---- periodic work --------------------------------------------------------------

Task<void> Core::run_ticks() {
  for (int tick = 1; !stopped_; ++tick) {
    co_await sleep(reactor_, kTick);
    backends_.tick();
    if (balances_) pools_.tick();
    if (balances_ && tick % kTicksPerSweep == 0) upstreams_.sweep();
    if (access_log_ && tick % kTicksPerFlush == 0) access_log_->flush();
    copy_counters();
  }
}

// Counters of lower layers, which know nothing of monitor, into its form.
void Core::copy_counters() {
  monitor::RequestMetrics& requests = metrics_.requests;
  const http::Server::Metrics& server = server_.metrics();
  const http::Http2Server::Metrics& hop = hop_.metrics();
  const auto sum = [](auto& into, const auto& one, const auto& other) {
    into.add(one.get() + other.get() - into.get());
  };
  sum(requests.connections_accepted, server.connections, hop.connections);
  sum(requests.connections_refused, server.connections_refused, hop.connections_refused);
  sum(requests.connections, server.connections_open, hop.connections_open);
  const int64_t waiting = backends_.waiting() + pools_.waiting();
  requests.queue_length.add(waiting - queued_said_);
  queued_said_ = waiting;
  const app::ProxyMetrics& proxy = backends_.metrics();
  const lb::ForwardMetrics& forwarder = forwarder_.metrics();
  sum(requests.queue_timeouts, proxy.queue_timeouts, forwarder.unserved);
  sum(requests.queue_overflows, proxy.queue_overflows, forwarder.turned_away);
  requests.retries.add(proxy.retries.get() - requests.retries.get());
  sum(requests.tunnels, proxy.tunnels, forwarder.tunnels);
  const auto copy = [](Counter& into, const Counter& from) { into.add(from.get() - into.get()); };
  copy(requests.handshakes_crowded_out, hop.handshakes_crowded_out);
  copy(requests.backend_retries, forwarder.retries);
  copy(requests.backend_failures, forwarder.failed);
  copy(requests.clients_limited, forwarder.client_limited);
  if (const lb::ClientLimits* const clients = pools_.clients())
    copy(requests.clients_unlimited, clients->unlimited());
  requests.allocations.add(FramePool::heap_allocations() + reactor_.buffers().heap_allocations() +
                           server_.exchanges_made() + hop_.exchanges_made() - requests.allocations.get());
  copy_static_counters();
  copy_access_counters();
}

// The access log is a new one after its form changed; the sum goes on.
void Core::copy_access_counters() {
  if (!access_log_) return;
  metrics_.access_lines_written.add(access_log_->lines_written().get() - written_said_);
  metrics_.access_lines_dropped.add(access_log_->lines_dropped().get() - dropped_said_);
  written_said_ = access_log_->lines_written().get();
  dropped_said_ = access_log_->lines_dropped().get();
}

// The file server is a new one after each reload; the sum goes on.
void Core::copy_static_counters() {
  if (!site_) return;
  const web::Metrics& files = site_->files->metrics();
  monitor::RequestMetrics& requests = metrics_.requests;
  const auto copy = [](Counter& into, const Counter& from, uint64_t& said) {
    into.add(from.get() - said);
    said = from.get();
  };
  copy(requests.static_cache_hits, files.hits, static_said_.hits);
  copy(requests.static_cache_misses, files.loads, static_said_.loads);
  copy(requests.static_cache_evictions, files.evictions, static_said_.evictions);
  copy(requests.static_loads_refused, files.loads_refused, static_said_.refused);
  copy(requests.static_compressions, files.compressions, static_said_.compressions);
  requests.static_cache_entries.add(files.entries.get() - requests.static_cache_entries.get());
  requests.static_cache_bytes.add(files.content_bytes.get() - requests.static_cache_bytes.get());
}

void Core::use_access_file(Descriptor file) {
  if (access_log_) access_log_->reopen(file.get());
  std::swap(access_file_, file);
  begin_access_log();
}

// After the site or the file has changed.
void Core::begin_access_log() {
  const topology::AccessLog form =
      site_ && access_file_ ? site_->site->web.access_log : topology::AccessLog::kOff;
  if (form == access_form_) return;
  if (access_log_) access_log_->flush();
  copy_access_counters();
  written_said_ = dropped_said_ = 0;
  access_log_.reset();
  access_form_ = form;
  if (form == topology::AccessLog::kOff) return;
  access_log_ = std::make_unique<monitor::AccessLog>(
      access_file_.get(),
      form == topology::AccessLog::kJson ? monitor::AccessForm::kJson : monitor::AccessForm::kReadable);
}

}  // namespace terrace::program
