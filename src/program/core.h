#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "app/proxy.h"
#include "base/log.h"
#include "http/server.h"
#include "lb/forwarder.h"
#include "lb/pools.h"
#include "lb/proxy_front.h"
#include "lb/watches.h"
#include "monitor/access_log.h"
#include "monitor/request_metrics.h"
#include "net/listener.h"
#include "program/hop_credentials.h"
#include "program/hop_server.h"
#include "program/records.h"
#include "topology/load.h"
#include "topology/site.h"
#include "web/file_server.h"

namespace terrace::program {

// What cores tell the worker's main thread. Called on the core's thread.
class CoreEvents {
 public:
  virtual ~CoreEvents() = default;
  virtual void core_took_site(uint32_t version, bool refused) = 0;
  virtual void core_drained(size_t core, uint32_t slot, uint32_t generation) = 0;
  virtual void core_failed(uint32_t slot, uint32_t generation, uint32_t failures) = 0;
  // A load balancer: what this core saw of a backend, for the first core, and what the first
  // has decided, for all.
  virtual void core_suspects(const std::string& pool, const std::string& backend) = 0;
  virtual void core_judges(const std::string& pool, const std::string& backend, lb::Verdict verdict) = 0;
  virtual void core_decided(const std::string& pool, const std::vector<lb::Standing>& standings) = 0;
  virtual void core_stopped() = 0;
  // The page of /metrics.
  virtual std::string metrics_page() = 0;
};

// One core's share of the data plane: its reactor, its part of the listening
// sockets, and the components web and app joined to one handler. Everything but
// metrics() and access_log_counters runs on the core's own thread.
class Core final : public http::Handler,
                   HopServer::Owner,
                   app::InstanceEvents,
                   lb::PoolEvents,
                   lb::WatchesOwner,
                   lb::OwnServer {
 public:
  struct Options {
    size_t index = 0;           // of this core
    topology::Machine machine;  // limits of the site are divided by its cores
    std::string sticky_secret;  // of all cores, for a site that has no other server to share one with
    bool follows = false;       // another worker has served the site before
  };
  // What any thread may read.
  struct Metrics {
    monitor::RequestMetrics requests;
    Counter access_lines_written;
    Counter access_lines_dropped;
  };

  Core(Reactor& reactor, CoreEvents& events, const Options& options, const Log& log);
  ~Core() override;

  // Begins the core's own periodic work; once, before the reactor runs.
  void start();
  // Listeners that come before the first site wait for it.
  void add_listener(const Listener& record, Descriptor socket);
  void remove_listener(Purpose purpose, std::string_view requested);
  struct SiteHere {
    uint32_t version = 0;
    uint32_t release = 0;   // whose files it serves; 0: none
    bool balances = false;  // this server is a load balancer
    std::string server;     // our name in [servers]; empty: it has none
    // Where all cores count their clients, for as long as they run; null: nobody was ever limited.
    lb::ClientTable* clients = nullptr;
  };
  void take_site(std::shared_ptr<const topology::Site> site, const SiteHere& here);
  // What cores say of pools (CoreEvents): to the first core, and to every core.
  void suspect_backend(const std::string& pool, const std::string& backend);
  void judge_backend(const std::string& pool, const std::string& backend, lb::Verdict verdict);
  void take_decision(const std::string& pool, const std::vector<lb::Standing>& standings);
  // How the other servers of the site are reached, and who they have to be.
  void use_credentials(std::shared_ptr<const HopCredentials> credentials);
  // Where the access log goes from now on: what waits still goes to the file before.
  // Opened elsewhere, so that no core waits for the disk; none: there is no log.
  void use_access_file(Descriptor file);
  void update_instance(const app::InstanceUpdate& update);
  // Requests wait for instances until that is over.
  void hold(bool held);
  // This server is drained: each answer is the last of its connection.
  void drain(bool drains);
  void mark_instances() { backends_.mark(); }
  void forget_unnamed_instances() { backends_.forget_unnamed(); }
  // Stops accepting and finishes what is in flight, at most for `limit`; core_stopped() then.
  void stop(Duration limit);
  // The same for a worker whose successor serves already: there is time, up to the
  // site's drain_timeout, and idle connections get another answer. stop() shortens it.
  void retire();

  Reactor& reactor() { return reactor_; }
  const Metrics& metrics() const { return metrics_; }

  // http::Handler
  Task<void> handle(http::Exchange& exchange) override;
  void refused(int status, const char* why, const net::Peer& peer) override;
  std::string_view error_page(int status) override;

 private:
  struct ServedSite;
  struct Heard;  // one listener
  // How a request has come: from whoever asks, or from a load balancer of the site, which has
  // looked at the client and said what it knows of it.
  enum class Way : uint8_t { kDirect, kHop };
  // Who has answered, for the access log.
  struct Answered {
    monitor::ServedFrom from;
    std::string_view by;  // the instance or backend; empty: ourselves
    uint32_t release = 0;
  };
  class AdminHandler;

  // HopServer::Owner
  Task<void> handle_hop(http::Exchange& exchange) override;
  int health() const override;

  // app::InstanceEvents
  void drained(uint32_t slot, uint32_t generation) override {
    events_.core_drained(options_.index, slot, generation);
  }
  void failed(uint32_t slot, uint32_t generation, uint32_t failures) override {
    events_.core_failed(slot, generation, failures);
  }

  // lb::PoolEvents
  void suspect(const std::string& pool, const std::string& backend) override {
    events_.core_suspects(pool, backend);
  }
  void verdict(const std::string& pool, const std::string& backend, lb::Verdict verdict) override {
    events_.core_judges(pool, backend, verdict);
  }
  // lb::WatchesOwner
  Task<health::CheckResult> check_own(std::string server, health::Check check) override;
  void decided(const std::string& pool, const std::vector<lb::Standing>& standings) override {
    events_.core_decided(pool, standings);
  }

  Task<void> run_ticks();
  Task<void> run_stop(Duration idle, Duration limit);
  Task<void> end_idle_of_drain(uint32_t drain);
  Task<void> retire_site(std::unique_ptr<ServedSite> old);
  Task<void> close_listener(std::unique_ptr<Heard> heard);
  net::Acceptor& acceptor_of(Heard& heard);
  void open_listener(Heard& heard);
  void begin_serving();
  Task<void> serve_with_hops(uint32_t version);
  void apply_limits(const topology::Site& site);
  void begin_access_log();
  void copy_counters();
  void copy_static_counters();
  void copy_access_counters();
  bool trusted(const net::Peer& peer) const;
  net::Peer client_of(http::Exchange& exchange, Way way) const;
  // As a web server of the site.
  Task<void> answer(http::Exchange& exchange, Way way);
  Task<app::Outcome> ask_app(http::Exchange& exchange, Way way, std::span<const http::Field> extra,
                             std::string_view request_id);
  std::string_view request_id(const http::Exchange& exchange, bool trusted_peer, std::span<char> into);
  void record(http::Exchange& exchange, Way way, const Answered& answered, std::string_view request_id);

  // core_balance.cc: as a load balancer
  void balance(const topology::Site& site, const SiteHere& here);
  lb::Reach reach() const;
  std::string sticky_secret() const;
  bool balances_for(http::Exchange& exchange) const;
  Task<lb::Forwarded> forward(http::Exchange& exchange, std::string_view request_id);
  Task<void> respond_unserved(http::Exchange& exchange, const lb::Forwarded& outcome);
  Task<bool> serve_here(http::Exchange& exchange, const http::UpstreamContext& context,
                        std::span<const http::Field> added, bool elsewhere) override;

  Reactor& reactor_;
  CoreEvents& events_;
  Options options_;
  const Log& log_;
  Metrics metrics_;
  std::unique_ptr<ServedSite> site_;
  uint32_t version_ = 0;  // of site_
  app::Backends backends_;
  app::Proxy proxy_;
  http::Server server_;
  lb::ProxyFront front_;  // of server_
  std::unique_ptr<AdminHandler> admin_handler_;
  http::Server admin_server_;
  HopServer hop_;
  std::vector<std::unique_ptr<Heard>> listeners_;
  lb::Pools pools_;
  lb::Watches watches_;  // of the first core only
  lb::Upstreams upstreams_;
  lb::Forwarder forwarder_;
  bool balances_ = false;
  std::string own_name_;                               // in [servers]
  std::shared_ptr<const HopCredentials> credentials_;  // null: none yet; as hop_ has it
  Descriptor access_file_;
  std::unique_ptr<monitor::AccessLog> access_log_;
  topology::AccessLog access_form_ = topology::AccessLog::kOff;
  Scope scope_;
  int64_t queued_said_ = 0;
  // What is copied already of the present site's file server.
  struct StaticSaid {
    uint64_t hits = 0;
    uint64_t loads = 0;
    uint64_t evictions = 0;
    uint64_t refused = 0;
    uint64_t compressions = 0;
  };
  StaticSaid static_said_;
  uint64_t written_said_ = 0;  // of the present access log
  uint64_t dropped_said_ = 0;
  bool held_ = false;
  bool drained_ = false;
  uint32_t drains_ = 0;    // how often that has changed
  bool stopping_ = false;  // takes no listener and no site any more
  bool stopped_ = false;
};

}  // namespace terrace::program
