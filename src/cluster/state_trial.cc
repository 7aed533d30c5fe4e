#include "cluster/state_trial.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>
#include <set>

#include "base/random.h"
#include "cluster/linearizability.h"

// state_trial SCENARIO [--seed N] [--seconds N] [--stale-reads]
//
// Scenarios: coordinator (two servers), etcd (three), move (two, then three, then two),
// replace (three, one of which is lost for good, and another takes its place).

namespace terrace::cluster::trial {
namespace {

using namespace std::chrono_literals;

constexpr int kClients = 6;
constexpr std::array kKeys = {"r0", "r1", "r2"};

struct TrialOptions {
  std::string scenario;
  uint64_t seed = 0;
  Duration length = 6s;
  bool stale_reads = false;
};

bool begins_with_three(const TrialOptions& options) {
  return options.scenario == "etcd" || options.scenario == "replace";
}

// ---- What clients saw ----

// An operation with the versions that were told. The state may give an entry another
// version without changing its value, when it moves from one back end to another: for the
// checker that is a write of its own, of which nobody knows when it happened.
struct Seen {
  Operation operation;
  Version version = 0;           // that was read, or made; 0: not told
  Version expected_version = 0;  // kWrite
};

class Register {
 public:
  void add(const Seen& seen) { seen_.push_back(seen); }

  std::optional<std::string> judge() {
    for (const Seen& one : seen_) {
      if (one.version == 0 || one.operation.value == 0) continue;
      versions_[one.operation.value].insert(one.version);
      if (values_.emplace(one.version, one.operation.value).first->second != one.operation.value)
        return fmt::format("version {} was used twice", one.version);
    }
    std::vector<Operation> history = moves();
    for (const Seen& one : seen_) {
      Operation operation = one.operation;
      operation.value = identity(operation.value, one.version);
      operation.expected = identity(operation.expected, one.expected_version);
      history.push_back(operation);
    }
    return violation(history);
  }

 private:
  // The value with its first version is the value itself.
  uint64_t identity(uint64_t value, Version version) {
    const std::set<Version>& versions = versions_[value];
    if (value == 0 || version == 0 || versions.empty() || *versions.begin() == version) return value;
    return kLater + static_cast<uint64_t>(version);
  }
  std::vector<Operation> moves() {
    std::vector<Operation> moves;
    for (const auto& [value, versions] : versions_) {
      for (auto at = versions.begin(); std::next(at) != versions.end(); ++at) {
        moves.push_back({.kind = Operation::Kind::kWrite,
                         .ending = Operation::Ending::kUnknown,
                         .value = identity(value, *std::next(at)),
                         .expected = identity(value, *at)});
      }
    }
    return moves;
  }

  static constexpr uint64_t kLater = uint64_t{1} << 60;
  std::vector<Seen> seen_;
  std::map<uint64_t, std::set<Version>> versions_;
  std::map<Version, uint64_t> values_;
};

class History {
 public:
  uint64_t now() { return ++moment_; }
  void add(const std::string& key, const Seen& seen) { registers_[key].add(seen); }
  void count(const char* ending) { ++endings_[ending]; }
  // Success, and how long the last one was ago.
  void succeeded(Time now) {
    if (last_ != Time()) gap_ = std::max(gap_, now - last_);
    last_ = now;
  }

  int judge() {
    std::string counts;
    for (const auto& [ending, count] : endings_) counts += fmt::format(" {}={}", ending, count);
    fmt::print("operations:{}; longest time without one: {} ms\n", counts,
               std::chrono::duration_cast<std::chrono::milliseconds>(gap_).count());
    int wrong = 0;
    for (auto& [key, one] : registers_) {
      const std::optional<std::string> found = one.judge();
      if (found) fmt::print("NOT LINEARIZABLE: {}: {}\n", key, *found);
      wrong += found.has_value();
    }
    return wrong > 0 ? 1 : 0;
  }

 private:
  uint64_t moment_ = 0;
  std::map<std::string, Register> registers_;
  std::map<std::string, int> endings_;
  Time last_;
  Duration gap_{};
};

// ---- Servers ----

class Site {
 public:
  Site(std::string program, std::string folder, const TrialOptions& options)
      : program_(std::move(program)), folder_(std::move(folder)), options_(options) {
    std::filesystem::create_directories(folder_ + "/cuts");
  }
  ~Site() {
    for (auto& [name, pid] : pids_) ::kill(pid, SIGKILL);
    for (auto& [name, pid] : pids_) ::waitpid(pid, nullptr, 0);
  }

  const std::string& folder() const { return folder_; }
  void set_servers(const std::vector<std::string>& names) {
    std::ofstream file(folder_ + "/servers.new");
    for (const std::string& name : names) file << name << "=http://" << address(name) << ":7401\n";
    file.close();
    std::filesystem::rename(folder_ + "/servers.new", folder_ + "/servers");
    names_ = names;
  }
  const std::vector<std::string>& names() const { return names_; }
  static std::string address(const std::string& name) {
    return fmt::format("127.0.0.{}", 11 + name[0] - 'a');
  }

  void start(const std::string& name) {
    const pid_t pid = ::fork();
    if (pid == 0) {
      const int output = ::open((folder_ + "/" + name + ".log").c_str(), O_WRONLY | O_CREAT | O_APPEND, 0644);
      ::dup2(output, 1);
      ::dup2(output, 2);
      ::execl(program_.c_str(), program_.c_str(), "server", folder_.c_str(), name.c_str(),
              options_.stale_reads ? "stale" : "true", nullptr);
      ::_exit(127);
    }
    pids_[name] = pid;
  }
  void kill(const std::string& name) {
    const auto found = pids_.find(name);
    if (found == pids_.end()) return;
    ::kill(found->second, SIGKILL);
    ::waitpid(found->second, nullptr, 0);
    pids_.erase(found);
  }
  void signal(const std::string& name, int signal) {
    if (pids_.contains(name)) ::kill(pids_[name], signal);
    signal_etcd(name, signal);
  }
  // Its etcd alone.
  void signal_etcd(const std::string& name, int signal) {
    const pid_t etcd = pids_.contains(name) ? child_of(pids_[name]) : 0;
    if (etcd > 0) ::kill(etcd, signal);
  }
  // Between these two, of etcd and of ours, in both directions.
  void cut(const std::string& one, const std::string& other) {
    std::ofstream(cut_file(folder_, one, other)) << "cut\n";
    std::ofstream(cut_file(folder_, other, one)) << "cut\n";
    filter(fmt::format("add rule ip trial input ip saddr {} ip daddr {} drop", address(one), address(other)));
    filter(fmt::format("add rule ip trial input ip saddr {} ip daddr {} drop", address(other), address(one)));
  }
  void heal() {
    for (const auto& file : std::filesystem::directory_iterator(folder_ + "/cuts"))
      std::filesystem::remove(file);
    filter("flush chain ip trial input");
  }
  static void filter(const std::string& rule) {
    const std::string command = "nft '" + rule + "'";
    if (::system(command.c_str()) != 0) fmt::print("nft: {} failed\n", rule);
  }

 private:
  static pid_t child_of(pid_t pid) {
    std::ifstream file(fmt::format("/proc/{0}/task/{0}/children", pid));
    pid_t child = 0;
    file >> child;
    return child;
  }
  std::string program_;
  std::string folder_;
  TrialOptions options_;
  std::vector<std::string> names_;
  std::map<std::string, pid_t> pids_;
};

// ---- Clients ----

class Trial {
 public:
  Trial(Reactor& reactor, Site& site, const TrialOptions& options)
      : reactor_(reactor),
        site_(site),
        options_(options),
        random_(options.seed),
        transport_(reactor, site.folder(), kClient) {}

  Task<void> run(bool& over, int& verdict) {
    const bool ready = co_await wait_until_held(home());
    if (ready) {
      for (int i = 0; i < kClients; ++i) clients_.spawn(client());
      co_await trouble();
      const bool again = co_await recover();
      stopping_ = true;
      co_await clients_.join();
      // A write that was refused may have met what only a last read shows.
      for (const char* key : kKeys) {
        Known known;
        co_await read(site_.names()[0], key, known);
      }
      verdict = history_.judge();
      if (!again) verdict = 2;
    } else {
      verdict = 2;
    }
    over = true;
  }

 private:
  // Where the state belongs at both ends of the trial.
  Keeper home() const { return begins_with_three(options_) ? Keeper::kEtcd : Keeper::kCoordinator; }

  Task<Result<StateAnswer>> ask(std::string server, StateRequest request) {
    const Result<std::string> answered =
        co_await transport_.ask(std::move(server), to_json(request), reactor_.now() + 3s);
    if (!answered) co_return std::unexpected(answered.error());
    co_return parse_state_answer(*answered);
  }

  Task<bool> wait_until_held(Keeper keeper) {
    const Time deadline = reactor_.now() + 30s;
    while (reactor_.now() < deadline) {
      size_t there = 0;
      for (const std::string& name : site_.names()) {
        StateRequest where(WhereRequest{});
        const Result<StateAnswer> answer = co_await ask(name, std::move(where));
        const auto* placement = answer ? std::get_if<Placement>(&*answer) : nullptr;
        if (placement != nullptr && placement->generation > 0 && placement->keeper == keeper) ++there;
      }
      if (there == site_.names().size()) co_return true;
      co_await sleep(reactor_, 50ms);
    }
    fmt::print("THE STATE IS NOT WHERE IT BELONGS: {}\n", name_of(keeper));
    co_return false;
  }

  // A register's last known entry, as one client saw it.
  struct Known {
    uint64_t value = 0;
    Version version = 0;
  };

  Task<void> client() {
    std::map<std::string, Known> known;
    while (!stopping_) {
      const std::string key = kKeys[random_.below(kKeys.size())];
      const std::string server = site_.names()[random_.below(site_.names().size())];
      if (random_.below(2) == 0) {
        co_await read(server, key, known[key]);
      } else {
        co_await write(server, key, known[key]);
      }
      co_await sleep(reactor_, std::chrono::milliseconds(5 + random_.below(20)));
    }
  }

  Task<void> read(std::string server, std::string key, Known& known) {
    Operation operation{.kind = Operation::Kind::kRead, .called = history_.now()};
    StateRequest request(GetRequest{key});
    const Result<StateAnswer> answer = co_await ask(server, std::move(request));
    operation.returned = history_.now();
    const auto* entry = answer ? std::get_if<Entry>(&*answer) : nullptr;
    if (entry == nullptr && !(answer && std::holds_alternative<Absent>(*answer))) {
      history_.count("read-failed");
      co_return;
    }
    known =
        entry == nullptr ? Known() : Known{std::strtoull(entry->value.c_str(), nullptr, 10), entry->version};
    operation.value = known.value;
    history_.add(key, {.operation = operation, .version = known.version});
    history_.count("read");
    history_.succeeded(reactor_.now());
  }

  Task<void> write(std::string server, std::string key, Known& known) {
    const bool removes = known.version > 0 && random_.below(10) == 0;
    const Version expected = known.version;
    Operation operation{
        .kind = Operation::Kind::kWrite, .value = removes ? 0 : ++value_, .expected = known.value};
    Commit commit;
    commit.conditions.push_back({key, known.version});
    commit.writes.push_back({key, removes ? std::nullopt : std::optional(std::to_string(operation.value))});
    operation.called = history_.now();
    StateRequest request(std::move(commit));
    const Result<StateAnswer> answer = co_await ask(server, std::move(request));
    operation.returned = history_.now();
    const auto* committed = answer ? std::get_if<Committed>(&*answer) : nullptr;
    const bool not_sent = !answer && answer.error().code == Code::kUnavailable;
    const Outcome outcome = committed != nullptr ? committed->outcome
                            : not_sent           ? Outcome::kUnavailable
                                                 : Outcome::kUnknown;
    history_.count(name_of(outcome).data());
    if (outcome == Outcome::kUnavailable || outcome == Outcome::kInvalid) co_return;
    operation.ending = outcome == Outcome::kDone      ? Operation::Ending::kDone
                       : outcome == Outcome::kRefused ? Operation::Ending::kRefused
                                                      : Operation::Ending::kUnknown;
    const Version made = outcome == Outcome::kDone && !removes ? committed->version : 0;
    history_.add(key, {.operation = operation, .version = made, .expected_version = expected});
    if (outcome != Outcome::kDone) co_return;
    known = removes ? Known() : Known{operation.value, made};
    history_.succeeded(reactor_.now());
  }

  // ---- Trouble ----

  const std::string& any() { return site_.names()[random_.below(site_.names().size())]; }

  Task<void> trouble() {
    const Time end = reactor_.now() + options_.length;
    if (options_.scenario == "move") scope_.spawn(move());
    if (options_.scenario == "replace") {
      co_await replace();
      co_return;
    }
    while (reactor_.now() < end) {
      co_await sleep(reactor_, std::chrono::milliseconds(200 + random_.below(500)));
      co_await one_fault();
    }
    co_await scope_.join();
  }

  Task<void> one_fault() {
    const std::string server = any();
    const std::string other = any();
    const uint64_t kind = random_.below(5);
    static constexpr std::array kNames = {"kill -9", "kill -9 of etcd", "freeze", "freeze of etcd", "cut"};
    fmt::print("{}: {} {}\n", kNames[kind], server, kind == 4 ? other : "");
    if (kind == 0) site_.kill(server);
    if (kind == 1) site_.signal_etcd(server, SIGKILL);
    if (kind == 2) site_.signal(server, SIGSTOP);
    if (kind == 3) site_.signal_etcd(server, SIGSTOP);
    if (kind == 4 && server != other) site_.cut(server, other);
    co_await sleep(reactor_, std::chrono::milliseconds(random_.below(1500)));
    if (kind == 0) site_.start(server);
    if (kind == 2) site_.signal(server, SIGCONT);
    if (kind == 3) site_.signal_etcd(server, SIGCONT);
    if (kind == 4) site_.heal();
  }

  // The site grows to three servers and shrinks again, while all else goes on.
  Task<void> move() {
    co_await sleep(reactor_, 500ms);
    site_.start("c");
    site_.set_servers({"a", "b", "c"});
    moved_ = co_await wait_until_held(Keeper::kEtcd);
    if (moved_) fmt::print("the state is in etcd\n");
    site_.set_servers({"a", "b"});
  }

  // A voter dies and leaves the file; its successor has never seen the state.
  Task<void> replace() {
    co_await sleep(reactor_, 500ms);
    site_.kill("b");
    site_.start("d");
    site_.set_servers({"a", "c", "d"});
    const Time deadline = reactor_.now() + 40s;
    moved_ = false;
    while (!moved_ && reactor_.now() < deadline) {
      StateRequest where(WhereRequest{});
      const Result<StateAnswer> answer = co_await ask("d", std::move(where));
      const auto* placement = answer ? std::get_if<Placement>(&*answer) : nullptr;
      moved_ = placement != nullptr && placement->holds("d") && !placement->holds("b");
      co_await sleep(reactor_, 50ms);
    }
    fmt::print("{}\n", moved_ ? "d is a voter" : "D IS NO VOTER");
    // With two that are old and one that is new any one may go.
    site_.kill("a");
    co_await sleep(reactor_, options_.length);
    site_.start("a");
  }

  Task<bool> recover() {
    const bool there = co_await wait_until_held(home());
    const bool held = there && moved_;
    const Time deadline = reactor_.now() + 20s;
    size_t good = 0;
    while (held && good < site_.names().size() && reactor_.now() < deadline) {
      good = 0;
      for (const std::string& name : site_.names()) {
        StateRequest request(GetRequest{kKeys[0]});
        const Result<StateAnswer> answer = co_await ask(name, std::move(request));
        if (answer && !std::holds_alternative<Unanswered>(*answer)) ++good;
      }
    }
    if (good < site_.names().size()) fmt::print("NOT EVERY SERVER READS AGAIN\n");
    co_return held&& good == site_.names().size();
  }

  Reactor& reactor_;
  Site& site_;
  TrialOptions options_;
  Random random_;
  SocketTransport transport_;
  History history_;
  uint64_t value_ = 0;
  bool moved_ = true;  // as the scenario wants it
  bool stopping_ = false;
  Scope clients_;
  Scope scope_;
};

// A network of our own: loopback and nothing else, which nft may cut.
bool own_network() {
  if (::unshare(CLONE_NEWNET) != 0) return false;
  const int socket = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  ifreq request{};
  std::strncpy(request.ifr_name, "lo", sizeof request.ifr_name - 1);
  request.ifr_flags = IFF_UP;
  const bool up = ::ioctl(socket, SIOCSIFFLAGS, &request) == 0;
  ::close(socket);
  Site::filter("add table ip trial; add chain ip trial input { type filter hook input priority 0; }");
  return up;
}

int run(const std::string& program, const TrialOptions& options) {
  if (!own_network()) {
    fmt::print("this needs root: a network namespace\n");
    return 77;
  }
  char name[] = "/tmp/terrace-trial-XXXXXX";
  const std::string folder = ::mkdtemp(name);
  fmt::print("scenario {} seed {}\n", options.scenario, options.seed);
  int verdict = 2;
  {
    const SystemClock clock;
    const std::unique_ptr<Reactor> reactor = Reactor::create(clock, {}).value();
    Site site(program, folder, options);
    site.set_servers(begins_with_three(options) ? std::vector<std::string>{"a", "b", "c"}
                                                : std::vector<std::string>{"a", "b"});
    for (const std::string& server : site.names()) site.start(server);
    Trial trial(*reactor, site, options);
    Scope scope;
    bool over = false;
    scope.spawn(trial.run(over, verdict));
    if (!reactor->run_until(over, options.length + 120s)) std::abort();
  }
  if (verdict == 0 || options.stale_reads) std::filesystem::remove_all(folder);
  if (verdict == 0) fmt::print("linearizable\n");
  if (verdict != 0 && !options.stale_reads) fmt::print("logs: {}\n", folder);
  return verdict;
}

}  // namespace
}  // namespace terrace::cluster::trial

int main(int count, char** arguments) {
  using namespace terrace::cluster::trial;
  std::setvbuf(stdout, nullptr, _IOLBF, 0);
  const std::vector<std::string> words(arguments + 1, arguments + count);
  if (words.size() == 4 && words[0] == "server") {
    return run_server({.folder = words[1],
                       .name = words[2],
                       .founds = words[2] == "a",
                       .first = "a",
                       .stale_reads = words[3] == "stale"});
  }
  if (words.empty()) return 2;
  TrialOptions options{.scenario = words[0], .seed = terrace::random_seed()};
  for (size_t i = 1; i < words.size(); ++i) {
    if (words[i] == "--stale-reads") options.stale_reads = true;
    if (words[i] == "--seed" && i + 1 < words.size()) options.seed = std::stoull(words[i + 1]);
    if (words[i] == "--seconds" && i + 1 < words.size())
      options.length = std::chrono::seconds(std::stoi(words[i + 1]));
  }
  return run("/proc/self/exe", options);
}
