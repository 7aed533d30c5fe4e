#pragma once

// The records that the supervisor, the controller, the worker and the member exchange.
//
// Every record is one fixed-size struct in one SOCK_SEQPACKET message, native
// layout, no pointers: all are the same binary, and the reader of the
// privileged side has nothing to parse. A message whose size is not exactly that
// of its kind is refused. Text is a fixed array, always ended by a zero.
// Descriptors travel beside a record as SCM_RIGHTS, at most one each.
//
// Four channels:
//  - supervisor <-> controller, worker and member: descriptor kSupervisorChannel of
//    the started process, there from its first instruction. Its end means that the
//    supervisor is gone: leave. The member says nothing on it: with the controller
//    it speaks over the sockets that people use, too (control.h).
//  - member -> worker, where there is a member: a new pair whenever either of them is
//    started, as between controller and worker. The member then says again with which
//    certificate, key and authorities the worker meets those of the site's other servers
//    (TrafficCredentials); the worker keeps what it has until then. It says nothing itself.
//  - controller <-> worker: a new pair whenever either of them is started; each
//    receives its end in a Peer record. The controller then says everything again
//    (Site, then one InstanceUpdate per instance); the worker keeps serving with
//    what it knew until then. What the new controller does not mention by the time
//    of its Complete record is gone.
//
// What each side sends first: the supervisor a Welcome to both; to the worker the
// listeners; to the controller the site it last accepted (Site; before the first one
// a Reload), the listeners and the running instances, then Complete; last the Peer. To
// the member the site that was last accepted, and each one after it.

#include <sys/types.h>

#include <array>
#include <chrono>
#include <cstdint>
#include <cstring>
#include <string_view>
#include <type_traits>

#include "base/metrics.h"

namespace terrace::program {

constexpr int kSupervisorChannel = 3;
// To a worker that has a successor (SIGUSR2): finish what you have and leave. Once
// more: do it now, within kDrainLimit. No record, as those of two versions differ.
constexpr int kRetireSignal = 12;
// How long the worker may finish what is in flight when the site stops.
constexpr std::chrono::seconds kDrainLimit{30};
// Instances of the app on one server. A slot is held by an old and a new generation
// at once while one replaces the other, and by a third that is on its way out.
constexpr uint32_t kSlotsMax = 64;
constexpr uint32_t kInstancesMax = 3 * kSlotsMax;
// Jobs at once (jobs.h): commands that run once. They take the slots after those of
// the instances, kSlotsMax to kSlotsMax + kJobsMax - 1.
constexpr uint32_t kJobsMax = 8;
constexpr uint32_t kListenersMax = 64;

// A text of at most N - 1 bytes inside a record.
template <size_t N>
struct Text {
  std::array<char, N> bytes{};

  // False when `text` does not fit or contains a zero byte; then nothing changes.
  bool set(std::string_view text) {
    if (text.size() >= N || text.find('\0') != std::string_view::npos) return false;
    bytes.fill(0);
    std::memcpy(bytes.data(), text.data(), text.size());
    return true;
  }
  // Never reads past the array, whatever the other side wrote.
  std::string_view view() const { return {bytes.data(), ::strnlen(bytes.data(), N - 1)}; }
};

using Path = Text<1024>;
using SocketPath = Text<108>;  // sun_path, unix(7)
using Address = Text<64>;      // "127.0.0.1:8080", "[::]:80"
using Name = Text<64>;

enum class Kind : uint32_t {
  // supervisor -> controller and worker
  kWelcome = 1,
  kPeer,
  kListener,
  kListenerGone,
  kStop,
  // supervisor -> controller
  kReload,
  kInstanceRunning,
  kInstanceEnded,
  kListenFailed,
  kWorkerStarted,
  kReleaseFolder,
  kWorkersRetiring,
  kUpgradeRefused,
  kMemberStarted,
  // controller -> supervisor
  kListen,
  kUnlisten,
  kStartInstance,
  kSignalInstance,
  kTagInstance,
  kMakeRelease,
  kRemoveRelease,
  kServing,
  kStopSite,
  kReadSite,
  kWorkerServes,
  kUpgrade,
  kDeploying,
  kMemberWanted,
  // controller -> worker; the first also supervisor <-> controller
  kSite,
  kInstanceUpdate,
  kComplete,
  kStatsRequest,
  kHold,
  kTogether,
  // worker -> controller
  kSiteTaken,
  kDrained,
  kInstanceFailed,
  kStats,
  // supervisor <-> controller
  kSecrets,
  // controller -> worker
  kBackupReport,
  kDrain,
  // controller -> supervisor
  kWriteSite,
  kStoreSecret,
  kReadSecrets,
  // supervisor -> controller
  kWritten,
  kSecretsRead,
  // worker -> controller
  kBackendStanding,
  // member -> worker
  kTrafficCredentials,
};

// ---- supervisor -> controller and worker ---------------------------------

// The first record that a process gets.
struct Welcome {
  static constexpr Kind kKind = Kind::kWelcome;
  Kind kind = kKind;
  uint32_t starts = 0;       // 1 for the first controller (or worker), 2 for its successor, …
  uint32_t cores = 1;        // reactor threads of the worker, sockets per address
  uint32_t privileged = 0;   // 1: the supervisor is root
  int64_t memory_bytes = 0;  // that we may use; 0: unknown
  uint32_t upgrades = 0;     // how often the supervisor has become another program
  uid_t own_user = 0;        // of controller and worker
  gid_t own_group = 0;
  Name server;              // of [servers], that this machine was said to be; empty: by its addresses
  gid_t cluster_group = 0;  // the member's
  uint32_t joined = 0;      // 1: this server is one of several of a site
  Path site_path;           // of site.toml, absolute
  Path state;               // the folders of folders.h
  Path run;
  Path log;
};

enum class Process : uint32_t { kController = 0, kWorker = 1, kMember = 2 };

// Comes with one end of a new pair that leads to this process; replaces the one before.
struct Peer {
  static constexpr Kind kKind = Kind::kPeer;
  Kind kind = kKind;
  Process with = Process::kController;
};

enum class Purpose : uint32_t {
  kWeb = 0,
  kAdmin = 1,
  kTcp = 2,  // `tcp` of a pool of the load balancer
  kHop = 3,  // `port` of [lb]: where load balancers reach a web server
};
// "web", "admin", "tcp", "hop".
std::string_view word_of(Purpose purpose);

// A listening socket: non-blocking, listening already. To the worker it comes with
// a duplicate of the socket, to the controller without. An address has `count`
// sockets with SO_REUSEPORT, numbered by `index`: socket i is for reactor thread
// i modulo their number. The supervisor keeps the original: while no worker lives,
// the kernel queues the connections.
struct Listener {
  static constexpr Kind kKind = Kind::kListener;
  Kind kind = kKind;
  Purpose purpose = Purpose::kWeb;
  uint32_t index = 0;
  uint32_t count = 1;
  Address requested;  // as in the site file; the key
  Address bound;      // with the port that the kernel chose when the request said 0
};

// Stop accepting on every socket of this address; open connections stay.
struct ListenerGone {
  static constexpr Kind kKind = Kind::kListenerGone;
  Kind kind = kKind;
  Purpose purpose = Purpose::kWeb;
  Address requested;
};

// To the worker: close the listeners, finish what is in flight, then exit(0); the
// supervisor waits `limit_ms` and kills. To the controller: start nothing any more,
// keep writing the log until the channel ends.
struct Stop {
  static constexpr Kind kKind = Kind::kStop;
  Kind kind = kKind;
  uint32_t limit_ms = 0;
};

// ---- supervisor -> controller ---------------------------------------------

// Load the site file again: SIGHUP arrived, or the answer to ReadSite. Comes with
// the file, opened by the supervisor: it may be readable for root only. Also the
// first site of a first controller.
struct Reload {
  static constexpr Kind kKind = Kind::kReload;
  Kind kind = kKind;
  int32_t system = 0;  // errno, and no descriptor, when the file cannot be opened
};

// To the controller before each Peer: the worker at its other end.
struct WorkerStarted {
  static constexpr Kind kKind = Kind::kWorkerStarted;
  Kind kind = kKind;
  pid_t pid = 0;
  uint32_t starts = 0;
};

// How the member stands, as soon as that changes; pid 0: none lives.
struct MemberStarted {
  static constexpr Kind kKind = Kind::kMemberStarted;
  Kind kind = kKind;
  pid_t pid = 0;
  uint32_t starts = 0;
};

// So many workers of before an upgrade still finish what they have. They do not hear
// of instances that start or drain.
struct WorkersRetiring {
  static constexpr Kind kKind = Kind::kWorkersRetiring;
  Kind kind = kKind;
  uint32_t count = 0;
};

// The answer to an Upgrade that came to nothing; one that works has no answer, as
// the controller is replaced.
struct UpgradeRefused {
  static constexpr Kind kKind = Kind::kUpgradeRefused;
  Kind kind = kKind;
  Text<1024> why;
};

// How an instance is kept together (reference: pid_namespaces(7),
// PR_SET_CHILD_SUBREAPER(2const)).
enum class Isolation : uint32_t { kNamespace = 0, kSubreaper = 1 };
enum class Limits : uint32_t { kNone = 0, kCgroup1 = 1, kCgroup2 = 2, kRlimit = 3 };

// What the controller wants to remember about an instance beyond its own death;
// the supervisor stores it and never looks inside.
struct Tag {
  std::array<uint8_t, 64> bytes{};
};

// An instance runs: the answer to StartInstance, and again for each one when a new
// controller starts. Comes with a duplicate of the read end of its output pipe.
struct InstanceRunning {
  static constexpr Kind kKind = Kind::kInstanceRunning;
  Kind kind = kKind;
  uint32_t slot = 0;
  uint32_t generation = 0;
  pid_t pid = 0;  // of the instance's init, as the supervisor sees it
  Isolation isolation = Isolation::kNamespace;
  Limits limits = Limits::kNone;
  int64_t started_ns = 0;  // CLOCK_MONOTONIC
  uint32_t port = 0;       // 0: a Unix socket
  SocketPath socket;
  Tag tag;
};

// An instance ended, or never started: then `error` says why and `status` is 0.
struct InstanceEnded {
  static constexpr Kind kKind = Kind::kInstanceEnded;
  Kind kind = kKind;
  uint32_t slot = 0;
  uint32_t generation = 0;
  int32_t status = 0;          // of the app itself, as in wait(2)
  uint32_t out_of_memory = 0;  // 1: the memory limit killed a process of it
  Text<256> error;
};

// The site's secrets (secrets.h) as SecretFolder::pack() writes them, in a sealed memfd
// beside the record. From the supervisor: those on disk before each Reload, and
// before a Site those that it was accepted with. From the controller, before the
// Site that it accepted: keep these with it. No other process is sent them.
struct Secrets {
  static constexpr Kind kKind = Kind::kSecrets;
  Kind kind = kKind;
  int32_t system = 0;  // errno: they could not be read, and nothing is beside the record
};

// The answer to a Listen that did not work.
struct ListenFailed {
  static constexpr Kind kKind = Kind::kListenFailed;
  Kind kind = kKind;
  Purpose purpose = Purpose::kWeb;
  int32_t system = 0;  // errno
  Address requested;
};

// The answer to MakeRelease and RemoveRelease.
struct ReleaseFolder {
  static constexpr Kind kKind = Kind::kReleaseFolder;
  Kind kind = kKind;
  uint32_t number = 0;
  uint32_t failed = 0;
  Text<256> error;
};

// The answer to WriteSite and StoreSecret.
struct Written {
  static constexpr Kind kKind = Kind::kWritten;
  Kind kind = kKind;
  uint32_t id = 0;
  uint32_t failed = 0;
  Text<256> error;
};

// The secrets as they are on disk now, as beside a Secrets record.
struct SecretsRead {
  static constexpr Kind kKind = Kind::kSecretsRead;
  Kind kind = kKind;
  int32_t system = 0;  // errno: they could not be read, and nothing is beside the record
};

// ---- controller -> supervisor ----------------------------------------------

// Bind and listen; the answer is one Listener or ListenFailed. An address that is
// held already is answered again.
struct Listen {
  static constexpr Kind kKind = Kind::kListen;
  Kind kind = kKind;
  Purpose purpose = Purpose::kWeb;
  Address requested;
};

struct Unlisten {
  static constexpr Kind kKind = Kind::kUnlisten;
  Kind kind = kKind;
  Purpose purpose = Purpose::kWeb;
  Address requested;
};

// Start one instance, or a job: then with a slot of kSlotsMax or above, neither port
// nor socket, perhaps with a descriptor beside it that becomes its standard input.
// A job belongs to the controller that asked: when that ends, the supervisor kills
// it, and no successor hears of it. The supervisor refuses uid 0, users outside the app's group
// (permitted_app_user in privileges.h), a socket outside its run folder and any
// number outside its limits, whatever the record says.
struct StartInstance {
  static constexpr Kind kKind = Kind::kStartInstance;
  Kind kind = kKind;
  uint32_t slot = 0;
  uint32_t generation = 0;
  uint32_t port = 0;  // 0: `socket` names a Unix socket
  SocketPath socket;
  Name site;
  Name user;                 // empty: terrace-app as root, else our own
  int64_t memory_bytes = 0;  // 0: no limit
  uint32_t processes = 0;    // 0: no limit
  uint32_t grace_ms = 30'000;
  Path folder;
  Name job;  // "build-7": its title; empty for an instance
  // 1, jobs only: `command` is not for a shell, but the arguments of our own binary,
  // which the supervisor holds; each ends with kArgumentEnd.
  uint32_t own_program = 0;
  // 1, jobs only: not as `user` but as the owner of `folder`, which is a release's.
  uint32_t as_owner = 0;
  Text<8192> command;
  // Below `folder`, where it is no release: what the app may write ("tmp\0log\0"), and
  // the name under which it expects its SQLite file (writable.h).
  uint32_t writable_bytes = 0;
  std::array<char, 8192> writable{};
  Path database_link;
  Text<1024> database_password;    // for DB_PASSWORD_FILE; empty: none
  uint32_t environment_bytes = 0;  // "NAME=value\0NAME=value\0"
  std::array<char, 32'768> environment{};
};

constexpr char kArgumentEnd = '\n';

// SIGTERM or SIGKILL; nothing else is passed on.
struct SignalInstance {
  static constexpr Kind kKind = Kind::kSignalInstance;
  Kind kind = kKind;
  uint32_t slot = 0;
  uint32_t generation = 0;
  int32_t signal = 0;
};

struct TagInstance {
  static constexpr Kind kKind = Kind::kTagInstance;
  Kind kind = kKind;
  uint32_t slot = 0;
  uint32_t generation = 0;
  Tag tag;
};

// Make the empty folder of a release for this user of the app, and remove an empty one
// (release_folders.h).
struct MakeRelease {
  static constexpr Kind kKind = Kind::kMakeRelease;
  Kind kind = kKind;
  uint32_t number = 0;
  Name user;  // as in StartInstance
};

struct RemoveRelease {
  static constexpr Kind kKind = Kind::kRemoveRelease;
  Kind kind = kKind;
  uint32_t number = 0;
};

// The site answers for the first time: the supervisor tells systemd (sd_notify(3)).
// `without_app`: all but the application, which has not come up in its time. A unit that
// never says that it is ready is ended by systemd, with the files that it serves well.
struct Serving {
  static constexpr Kind kKind = Kind::kServing;
  Kind kind = kKind;
  uint32_t without_app = 0;
};

// Asks for a Reload.
struct ReadSite {
  static constexpr Kind kKind = Kind::kReadSite;
  Kind kind = kKind;
};

// The present worker has taken the site: those before it may go.
struct WorkerServes {
  static constexpr Kind kKind = Kind::kWorkerServes;
  Kind kind = kKind;
  uint32_t starts = 0;  // of WorkerStarted
};

// Become the program that is installed now (handover.h).
struct Upgrade {
  static constexpr Kind kKind = Kind::kUpgrade;
  Kind kind = kKind;
};

// A deploy or a rollback begins or ends: no upgrade in between, as the next controller
// knows nothing of it. Without this note only its jobs would be seen.
struct Deploying {
  static constexpr Kind kKind = Kind::kDeploying;
  Kind kind = kKind;
  uint32_t begins = 0;
};

// Whether the site that was accepted last has several servers. The member runs then, and
// also on a server that has become a member before.
struct MemberWanted {
  static constexpr Kind kKind = Kind::kMemberWanted;
  Kind kind = kKind;
  uint32_t wanted = 0;
};

// Write the site file: its whole text in a sealed memfd beside the record. Which file
// that is the supervisor knows from its own start.
struct WriteSite {
  static constexpr Kind kKind = Kind::kWriteSite;
  Kind kind = kKind;
  uint32_t id = 0;  // of the answer, a Written
};

// Set a secret, its value in a sealed memfd beside the record, or remove one.
struct StoreSecret {
  static constexpr Kind kKind = Kind::kStoreSecret;
  Kind kind = kKind;
  uint32_t id = 0;  // of the answer, a Written
  uint32_t removes = 0;
  Text<256> name;
};

// Asks for a SecretsRead.
struct ReadSecrets {
  static constexpr Kind kKind = Kind::kReadSecrets;
  Kind kind = kKind;
};

// End everything, as SIGTERM to the supervisor does; `exit_code` is what
// `terrace up` then returns.
struct StopSite {
  static constexpr Kind kKind = Kind::kStopSite;
  Kind kind = kKind;
  int32_t exit_code = 0;
};

// ---- controller <-> worker ------------------------------------------------

// The text of the site file, in a sealed memfd beside the record. From the
// controller to the supervisor: keep it, it is what a new controller starts from
// (the file on disk may be wrong by then). From the supervisor to a new
// controller: that text; to the member, too, which has none of the secrets that it
// names. To the worker: serve this, a text without the app's secrets
// in which `${…}` is replaced (topology::resolved_text): it has not our environment.
struct Site {
  static constexpr Kind kKind = Kind::kSite;
  Kind kind = kKind;
  uint32_t version = 0;  // grows with every accepted file
  uint64_t applied = 0;  // its version in the history of a site of several servers; 0: none
  uint64_t bytes = 0;
  Path path;  // where the text came from: relative names in it count from there
  // To the worker: whose files it serves; 0: none, those of the site's folder.
  uint32_t release = 0;
  uint32_t balances = 0;  // 1: this server is a load balancer of the site
  Name server;            // our name in [servers]; empty: it has none
};

enum class InstanceState : uint32_t {
  kStarting = 0,  // not yet healthy: no traffic, but worth waiting for
  kUp = 1,
  kDraining = 2,  // no new request; answer Drained when none is in flight
  kDown = 3,      // forget it; close its connections
};

// What the worker shall know about one instance; the newest record holds.
struct InstanceUpdate {
  static constexpr Kind kKind = Kind::kInstanceUpdate;
  Kind kind = kKind;
  uint32_t slot = 0;
  uint32_t generation = 0;
  InstanceState state = InstanceState::kStarting;
  uint64_t recipe = 0;  // counted together in Stats (app::LifecyclePlan)
  uint32_t port = 0;    // on 127.0.0.1; 0: `socket`
  SocketPath socket;
  Name name;             // "app-1": metrics, logs
  uint32_t release = 0;  // that it was started from; 0: the site's folder
};

// Ends the first series of records on a new channel (see the top).
struct Complete {
  static constexpr Kind kKind = Kind::kComplete;
  Kind kind = kKind;
};

// All instances are stopped on purpose, for as long as a restore takes: requests wait for
// them this long, or for `[app] queue_timeout` when that is longer.
constexpr uint32_t kHoldPatienceMs = 300'000;
struct Hold {
  static constexpr Kind kKind = Kind::kHold;
  Kind kind = kKind;
  uint32_t held = 0;  // 0: no longer
};

// This server is drained: each answer is the last one of its connection, as new ones are
// accepted elsewhere from now on.
struct Drain {
  static constexpr Kind kKind = Kind::kDrain;
  Kind kind = kKind;
  uint32_t drains = 0;  // 0: no longer
};

// What /metrics shall say about backups; the newest holds.
struct BackupReport {
  static constexpr Kind kKind = Kind::kBackupReport;
  Kind kind = kKind;
  uint32_t success = 0;      // of the last attempt
  int64_t good_seconds = 0;  // when the last good one was begun, since 1970; 0: there is none
  int64_t bytes = 0;         // of the last good one
  int64_t duration_ms = 0;   // of the last attempt
};

// What stands between one with `begins` 1 and one with 0 is done by each core in one step:
// no request sees a part of it. When the channel ends in between none of it is done.
struct Together {
  static constexpr Kind kKind = Kind::kTogether;
  Kind kind = kKind;
  uint32_t begins = 0;
};

struct StatsRequest {
  static constexpr Kind kKind = Kind::kStatsRequest;
  Kind kind = kKind;
  uint32_t id = 0;
};

// ---- worker -> controller -----------------------------------------------

// The worker serves this version of the site from now on.
struct SiteTaken {
  static constexpr Kind kKind = Kind::kSiteTaken;
  Kind kind = kKind;
  uint32_t version = 0;
  uint32_t refused = 0;  // 1: it could not; the version before stays
};

// No request of the draining instance is in flight any more.
struct Drained {
  static constexpr Kind kKind = Kind::kDrained;
  Kind kind = kKind;
  uint32_t slot = 0;
  uint32_t generation = 0;
};

// Seen while proxying: the instance refused or broke `failures` connections since
// the last such record. The controller probes it at once.
struct InstanceFailed {
  static constexpr Kind kKind = Kind::kInstanceFailed;
  Kind kind = kKind;
  uint32_t slot = 0;
  uint32_t generation = 0;
  uint32_t failures = 0;
};

// What the load balancer of this server has decided of one backend, for people: said of all
// backends of its pool together, one after the other, when one of them changes, and to
// each new controller.
struct BackendStanding {
  static constexpr Kind kKind = Kind::kBackendStanding;
  Kind kind = kKind;
  uint32_t index = 0;  // of `count` in the pool; the first makes those before obsolete
  uint32_t count = 0;
  Name pool;  // empty: of all that no pool takes
  Name backend;
  uint32_t state = 0;    // lb::State
  uint32_t standby = 0;  // 1: another one serves
  uint32_t weight = 0;
  int64_t since_ns = 0;  // of the monotonic clock
  Text<192> reason;
};

// ---- member -> worker --------------------------------------------------------

// With what the worker shows itself to those of other servers, and whom it trusts, as
// to_text() of traffic_credentials.h writes it, in a sealed memfd beside the record. The
// newest holds. The server's own key is not in it: nothing that the worker knows is of use
// on the channels between members.
struct TrafficCredentials {
  static constexpr Kind kKind = Kind::kTrafficCredentials;
  Kind kind = kKind;
};

// ---- worker -> controller, continued ---------------------------------------------

// All counters since the worker started.
struct InstanceStats {
  uint32_t slot = 0;
  uint32_t generation = 0;
  uint64_t requests = 0;
  uint64_t failures = 0;  // no answer, or a broken one
  uint64_t errors = 0;    // answered with 5xx
  uint64_t in_flight = 0;
};

// All instances of one recipe together, also those that are gone. The last few recipes.
constexpr size_t kRecipesMax = 8;
struct RecipeStats {
  uint64_t recipe = 0;
  uint64_t requests = 0;
  uint64_t failures = 0;
  uint64_t errors = 0;
  std::array<uint64_t, Histogram::kBuckets> durations{};  // not cumulative
};

struct Stats {
  static constexpr Kind kKind = Kind::kStats;
  Kind kind = kKind;
  uint32_t id = 0;           // of the request
  uint64_t connections = 0;  // accepted
  uint64_t connections_open = 0;
  uint64_t requests = 0;
  uint64_t in_flight = 0;
  uint64_t queued = 0;                 // wait for an instance
  std::array<uint64_t, 6> statuses{};  // [1] 1xx … [5] 5xx
  uint64_t bytes_sent = 0;
  uint64_t duration_ns = 0;  // sum over the requests
  uint32_t site_version = 0;
  uint32_t instances_count = 0;
  std::array<InstanceStats, kInstancesMax> instances{};
  uint32_t recipes_count = 0;
  std::array<RecipeStats, kRecipesMax> recipes{};
};

// The largest record; a receiver's buffer.
constexpr size_t kRecordBytesMax = sizeof(StartInstance);
static_assert(sizeof(Stats) < kRecordBytesMax && sizeof(Welcome) < kRecordBytesMax);

template <class T>
concept Record = std::is_trivially_copyable_v<T> && sizeof(T) <= kRecordBytesMax && requires {
  { T::kKind } -> std::convertible_to<Kind>;
};

}  // namespace terrace::program
