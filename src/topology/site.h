#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "config/field.h"

namespace terrace::topology {

// A site as immutable values: what site.toml says, with every default filled in.
// Made by load_site() only; from then on nobody changes it.

enum class Role : uint8_t { kLb, kWeb, kApp, kDb, kMonitor };
enum class Www : uint8_t { kOff, kToBare, kToWww };
enum class Fallback : uint8_t { kApp, kIndex, kNone };
enum class AccessLog : uint8_t { kJson, kReadable, kOff };
enum class AppSocket : uint8_t { kPort, kUnix };
enum class DbEngine : uint8_t { kSqlite, kNone };
enum class Balance : uint8_t { kRoundRobin, kLeastConnections, kLeastLatency, kIpHash, kConsistentHash };
enum class LbMode : uint8_t { kActiveActive, kActivePassive };

using config::Named;

// A page of `[web] errors`, at most; it is kept in memory.
constexpr int64_t kErrorPageBytesMax = 1 << 20;

struct SiteTable {
  std::string name = "site";
  std::string domain;                    // empty: answers to any Host
  Www www = Www::kToBare;                // only with a domain
  std::string admin = "127.0.0.1:9180";  // /metrics; loopback only
};

struct AppTable {
  std::string run;     // empty: no application
  std::string folder;  // absolute
  std::string user;    // empty: terrace-app as root, else our own
  int instances = 0;   // 0: one per core, as far as memory goes
  AppSocket socket = AppSocket::kPort;
  std::vector<Named> env;
  std::vector<std::string> packages;   // of Debian, by name
  std::string build;                   // empty: a release is ready as it comes
  std::string migrate;                 // empty: a release changes no database
  std::vector<std::string> writable;   // files and folders below `folder` that outlive a release
  std::string database_url = "plain";  // a form that is known by name, or a template
  std::chrono::milliseconds build_timeout{30 * 60'000};
  std::chrono::milliseconds migrate_timeout{30 * 60'000};
  std::chrono::milliseconds bake{60'000};  // 0: the release before is not kept waiting
  std::string health = "/";                // a path; any status below 400 is healthy
  std::chrono::milliseconds health_interval{2000};
  std::chrono::milliseconds health_timeout{2000};
  std::chrono::milliseconds start_timeout{60'000};
  std::chrono::milliseconds grace{30'000};  // between SIGTERM and SIGKILL
  int64_t memory_bytes = 0;                 // per instance; 0: no limit
  int processes = 0;                        // per instance; 0: no limit
  std::chrono::milliseconds response_timeout{60'000};
  int connections_max = 256;  // per instance; more wait in the queue
  int queue = 1024;           // requests that wait for an instance, at most
  std::chrono::milliseconds queue_timeout{10'000};
};

struct WebTable {
  std::vector<std::string> listen;  // "127.0.0.1:8080", "[::]:80"
  std::string files;                // absolute folder; empty: no static files
  std::vector<std::string> index = {"index.html"};
  Fallback fallback = Fallback::kApp;
  bool compress = true;
  std::vector<Named> cache;          // path pattern to Cache-Control value
  std::vector<Named> headers;        // added to every response
  std::vector<Named> redirects;      // path to path or URL
  std::vector<Named> errors;         // status to a file under `files`
  std::vector<std::string> trusted;  // CIDR networks of proxies in front of us
  AccessLog access_log = AccessLog::kJson;
  int64_t body_bytes_max = 100 << 20;
  std::chrono::milliseconds head_timeout{10'000};
  std::chrono::milliseconds idle_timeout{75'000};
  std::chrono::milliseconds drain_timeout{3'600'000};  // of a worker that an upgrade has replaced
  int connections_max = 0;                             // of clients; 0: by memory
};

struct DbTable {
  DbEngine engine = DbEngine::kSqlite;
  std::string url;               // a database that Terrace does not run; secret, never printed
  std::string backup = "daily";  // "off", "hourly", "daily" or "03:30", in UTC; "off" without `engine`
  int backups_kept = 14;
  std::string link;  // below `app.folder`: another name of the SQLite file; empty: none
};

// Of each log: the application's, the access log, Terrace's own.
struct LogsTable {
  int64_t file_bytes_max = 64'000'000;                   // then a new file is begun
  std::chrono::milliseconds age_max{30LL * 86'400'000};  // older files are removed
  int64_t total_bytes_max = 1'000'000'000;               // of all logs together
};

// How the servers of a site reach each other; only with several.
struct ClusterTable {
  int port = 7400;  // on the `address` of every server
  // Of a server's certificate; a third of it before the next one is made.
  std::chrono::milliseconds certificate_life{72LL * 3'600'000};
};

// How one pool spreads requests over its servers, and when it takes one for healthy.
struct PoolSettings {
  Balance balance = Balance::kRoundRobin;
  std::string hash;  // "header:X-User" or "cookie:session"; only with kConsistentHash
  LbMode mode = LbMode::kActiveActive;
  bool returns = true;                   // only with kActivePassive: to the first, when it is well again
  std::string check;                     // a path, or "tcp"
  std::string check_status = "200-399";  // a status, or the first and the last of a range
};

struct LbTable {
  int port = 7402;    // on the `address` of every web server: where load balancers reach it
  PoolSettings pool;  // of what no pool takes, and of pools that do not say otherwise
  std::chrono::milliseconds check_interval{2000};
  int check_rise = 2;
  int check_fall = 3;
  std::chrono::milliseconds slow_start{10'000};
  int eject_failures = 5;  // in a row; 0: nobody is ejected
  int eject_latency = 10;  // times the others' median; 0: nobody for it
  int eject_max = 50;      // percent of a pool
  std::chrono::milliseconds eject_time{10'000};
  int retries = 20;  // percent of the requests
  std::chrono::milliseconds connect_timeout{2000};
  std::chrono::milliseconds try_timeout{65'000};     // until the head of an answer
  std::chrono::milliseconds total_timeout{120'000};  // the same, of all tries and the queue
  int connections_max = 1000;                        // requests per backend at the same time
  int queue = 1024;
  std::chrono::milliseconds queue_timeout{10'000};
  int client_rate = 0;      // requests per second; 0: no limit
  int client_burst = 0;     // 0: as many as client_rate
  int client_requests = 0;  // at the same time; 0: no limit
  bool sticky = false;
  std::string maintenance_page;         // HTML, while no server can answer; empty: the usual page of a 503
  std::vector<std::string> proxy_from;  // CIDR networks whose connections begin with PROXY v2
};

// Where a load balancer sends that Terrace does not run.
struct LbBackend {
  std::string name;
  std::string address;  // with its port
  int weight = 1;
  bool proxy = false;  // its connections begin with PROXY v2
};

// Servers and backends of one pool, and behind one load balancer.
constexpr int kPoolMembersMax = 64;

// What goes to other servers than the rest, by host and path.
struct LbPool {
  std::string name;
  std::vector<std::string> servers;  // names of [servers] and [lb.backends]
  std::vector<std::string> hosts;    // "api.example.com", "*.example.com"; empty: any
  std::vector<std::string> paths;    // patterns; empty: any
  std::vector<std::string> tcp;      // addresses with ports where it takes anything that is TCP
  PoolSettings settings;
};

struct Server {
  std::string name;
  std::string address;
  std::vector<Role> roles;
  int weight = 1;  // behind a load balancer
  bool operator==(const Server&) const = default;
};

struct Site {
  std::string path;  // of the file, absolute
  SiteTable site;
  AppTable app;
  WebTable web;
  DbTable db;
  LogsTable logs;
  ClusterTable cluster;
  LbTable lb;
  std::vector<LbBackend> lb_backends;
  std::vector<LbPool> lb_pools;  // the first that fits takes a request
  // [app] folder and [web] files as the file says them: what is relative moves with
  // the release (at_root()).
  std::string folder_written;
  std::string files_written;
  std::vector<Server> servers;  // empty: this machine holds every role, on localhost
  // Keys whose value is secret or came through `${…}`, such as "app.env.TOKEN":
  // never printed.
  std::vector<std::string> hidden;
};

// Whether this server has the role; any of the site.
bool has_role(const Server& server, Role role);
bool has_role(const Site& site, Role role);
// Its address with a port: "10.0.0.21:7402", "[2001:db8::21]:7402".
std::string at_port(const Server& server, int port);

}  // namespace terrace::topology
