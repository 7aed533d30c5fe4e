#include "cluster/etcd_process.h"

#include <fcntl.h>
#include <linux/close_range.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/file.h"

namespace terrace::cluster {
namespace {

constexpr Duration kShortLife = std::chrono::seconds(10);
constexpr Duration kPauseMax = std::chrono::seconds(5);
// Of a line as etcd writes it, with a stack behind it when it ends for a reason.
constexpr size_t kRawBytesMax = 8192;

// Nothing, then 0.1 s, doubling up to kPauseMax.
Duration pause_after(uint32_t short_lives) {
  if (short_lives <= 1) return Duration::zero();
  const uint32_t doublings = std::min<uint32_t>(short_lives - 2, 6);
  return std::min<Duration>(std::chrono::milliseconds(100) * (1 << doublings), kPauseMax);
}

struct Readable {
  Watch& watch;
  bool await_ready() const { return watch.readable; }
  void await_suspend(std::coroutine_handle<> waiting) const { watch.reader = waiting; }
  void await_resume() const {}
};

std::string cluster_of(const std::vector<EtcdPeer>& peers) {
  std::string text;
  for (const EtcdPeer& peer : peers) text += (text.empty() ? "" : ",") + peer.name + "=" + peer.url;
  return text;
}

std::string own_url(const EtcdOptions& options) {
  const auto own = std::ranges::find(options.peers, options.name, &EtcdPeer::name);
  return own == options.peers.end() ? "" : own->url;
}

// What the child needs, made before the fork: other threads may hold locks at that moment.
struct Launch {
  const char* folder;
  char* const* arguments;
  char* const* environment;
  int output;
  pid_t parent;
};

[[noreturn]] void become_etcd(const Launch& launch) {
  // A session of its own: Ctrl-C is for the supervisor, which stops in order.
  ::setsid();
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != launch.parent || ::chdir(launch.folder) != 0) ::_exit(126);
  const int nothing = ::open("/dev/null", O_RDONLY);
  if (nothing < 0 || ::dup2(nothing, 0) < 0 || ::dup2(launch.output, 1) < 0 || ::dup2(launch.output, 2) < 0)
    ::_exit(126);
  ::close_range(3, ~0U, CLOSE_RANGE_CLOEXEC);
  for (int signal = 1; signal < NSIG; ++signal) ::signal(signal, SIG_DFL);
  sigset_t none;
  ::sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  ::umask(0077);
  ::execve(launch.arguments[0], launch.arguments, launch.environment);
  ::_exit(127);
}

// What a line of etcd's log says: {"level":"warn","msg":"…","remote-addr":"…","error":"…",…}.
std::string words_of(const std::string& line) {
  const nlohmann::json json = nlohmann::json::parse(line, nullptr, false);
  if (!json.is_object()) return line;
  std::string words;
  for (const char* name : {"msg", "remote-addr", "error"}) {
    const auto found = json.find(name);
    if (found == json.end() || !found->is_string()) continue;
    words += (words.empty() ? "" : ": ") + found->get<std::string>();
  }
  return words.empty() ? line : words;
}

std::vector<char*> pointers(std::vector<std::string>& texts) {
  std::vector<char*> all;
  for (std::string& text : texts) all.push_back(text.data());
  all.push_back(nullptr);
  return all;
}

}  // namespace

std::vector<std::string> etcd_arguments(const EtcdOptions& options) {
  const std::string client = std::string("unix://") + kEtcdSocket;
  const std::string peer = own_url(options);
  std::vector<std::string> arguments = {
      options.program,
      "--name=" + options.name,
      "--data-dir=data",
      "--listen-client-urls=" + client,
      "--advertise-client-urls=" + client,
      "--listen-peer-urls=" + peer,
      "--initial-advertise-peer-urls=" + peer,
      "--initial-cluster=" + cluster_of(options.peers),
      std::string("--initial-cluster-state=") + (options.founds ? "new" : "existing"),
      "--initial-cluster-token=" + options.token,
      "--heartbeat-interval=100",
      "--election-timeout=1000",
      "--quota-backend-bytes=" + std::to_string(options.quota_bytes),
      "--max-request-bytes=4194304",
      "--max-txn-ops=128",
      "--snapshot-count=1000",
      "--max-wals=2",
      "--max-snapshots=2",
      // Nobody asks for revisions of before: who was away compares what is there.
      "--auto-compaction-mode=revision",
      "--auto-compaction-retention=100",
      "--enable-v2=false",
      "--logger=zap",
      "--log-outputs=stderr",
      "--log-level=warn",
  };
  if (options.certificate_file.empty()) return arguments;
  arguments.push_back("--peer-cert-file=" + options.certificate_file);
  arguments.push_back("--peer-key-file=" + options.key_file);
  arguments.push_back("--peer-trusted-ca-file=" + options.authorities_file);
  arguments.push_back("--peer-client-cert-auth=true");
  // A peer is known by its authority and its name. The address that it comes from may be
  // another one of its machine than the one that is in its certificate.
  arguments.push_back("--experimental-peer-skip-client-san-verification=true");
  if (!options.revocations_file.empty()) arguments.push_back("--peer-crl-file=" + options.revocations_file);
  if (!options.peer_name.empty()) arguments.push_back("--peer-cert-allowed-hostname=" + options.peer_name);
  return arguments;
}

EtcdProcess::EtcdProcess(Reactor& reactor, const Log& log)
    : reactor_(reactor), log_(log), gone_(reactor), stopping_(reactor) {}

Result<net::Address> EtcdProcess::client_address(const std::string& folder) {
  return net::Address::unix_socket(folder + "/" + kEtcdSocket);
}

Result<void> EtcdProcess::start(EtcdOptions options) {
  options_ = std::move(options);
  if (::access(options_.program.c_str(), X_OK) != 0)
    return fail(Code::kNotFound, "etcd", "no etcd on this machine: install the Debian package etcd-server");
  if (const Result<net::Address> address = client_address(options_.folder); !address)
    return std::unexpected(address.error());
  if (const Result<void> made = make_folders(options_.folder, 0700); !made) return made;
  if (const Result<void> launched = launch(); !launched) return launched;
  scope_.spawn(run());
  return {};
}

void EtcdProcess::restart(EtcdOptions options) {
  options_ = std::move(options);
  if (running()) scope_.spawn(end());
}

Task<void> EtcdProcess::close() {
  stopping_.set();
  if (running()) scope_.spawn(end());
  co_await scope_.join();
}

Task<void> EtcdProcess::end() {
  ::kill(pid_, SIGTERM);
  const Result<void> gone = co_await gone_.wait_until(reactor_.now() + kStopMax);
  if (!gone && running()) ::kill(pid_, SIGKILL);
}

Result<void> EtcdProcess::launch() {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return fail_system("pipe");
  // One that was killed leaves its socket, and could not bind it again.
  ::unlink((options_.folder + "/" + kEtcdSocket).c_str());
  Descriptor ours(ends[0]);
  const Descriptor theirs(ends[1]);
  if (::fcntl(ours.get(), F_SETFL, O_NONBLOCK) != 0) return fail_system("fcntl");
  std::vector<std::string> arguments = etcd_arguments(options_);
  // Variables named ETCD_… would be settings. GOGC: a smaller heap for more collections.
  std::vector<std::string> environment = {"PATH=/usr/bin:/bin", "GOGC=50"};
  const std::vector<char*> argument_pointers = pointers(arguments);
  const std::vector<char*> environment_pointers = pointers(environment);
  const Launch launch{.folder = options_.folder.c_str(),
                      .arguments = argument_pointers.data(),
                      .environment = environment_pointers.data(),
                      .output = theirs.get(),
                      .parent = ::getpid()};
  const pid_t pid = ::fork();
  if (pid < 0) return fail_system("fork");
  if (pid == 0) become_etcd(launch);
  pid_ = pid;
  ++starts_;
  started_ = reactor_.now();
  gone_.reset();
  pidfd_ = Descriptor(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
  output_ = std::move(ours);
  Result<void> watched = pidfd_ ? exit_.start(reactor_, pidfd_.get()) : fail_system("pidfd_open");
  if (watched) watched = said_.start(reactor_, output_.get());
  if (!watched) {
    ::kill(pid, SIGKILL);
    ::waitpid(pid, nullptr, 0);
    ended(0);
  }
  return watched;
}

Task<void> EtcdProcess::run() {
  for (;;) {
    if (running()) {
      co_await listen();
      co_await Readable{exit_};
      int status = 0;
      ::waitpid(pid_, &status, 0);
      ended(status);
    }
    const Result<void> stopped = co_await stopping_.wait_until(reactor_.now() + pause_after(short_lives_));
    if (stopped) co_return;
    const Result<void> launched = launch();
    if (launched) continue;
    ++short_lives_;
    log_.error("etcd cannot be started", {{"error", describe(launched.error())}});
  }
}

// Reads what it says until it has closed its end.
Task<void> EtcdProcess::listen() {
  for (;;) {
    char block[4096];
    const ssize_t n = ::read(output_.get(), block, sizeof block);
    if (n > 0) {
      take({block, static_cast<size_t>(n)});
      continue;
    }
    if (n < 0 && errno == EINTR) continue;
    if (n == 0 || errno != EAGAIN) co_return;
    said_.readable = false;
    co_await Readable{said_};
  }
}

void EtcdProcess::ended(int status) {
  if (!stopping_.is_set()) {
    log_.warning("etcd has ended and is started again",
                 {{"pid", pid_},
                  {"status", WIFEXITED(status) ? WEXITSTATUS(status) : 0},
                  {"signal", WIFSIGNALED(status) ? WTERMSIG(status) : 0}});
  }
  short_lives_ = reactor_.now() - started_ < kShortLife ? short_lives_ + 1 : 0;
  pid_ = 0;
  exit_.stop();
  said_.stop();
  pidfd_.reset();
  output_.reset();
  gone_.set();
}

void EtcdProcess::take(std::string_view bytes) {
  while (!bytes.empty()) {
    const size_t end = bytes.find('\n');
    const std::string_view piece = bytes.substr(0, end);
    // What is longer than a line may be is cut.
    partial_ += piece.substr(0, kRawBytesMax - std::min(kRawBytesMax, partial_.size()));
    if (end == std::string_view::npos) return;
    take_line(words_of(std::exchange(partial_, std::string())).substr(0, kLineBytesMax));
    bytes.remove_prefix(end + 1);
  }
}

void EtcdProcess::take_line(std::string line) {
  if (reactor_.now() - turn_ >= kLogTurn) {
    if (turn_lines_ > kLogLinesMax)
      log_.warning("etcd said more than is logged", {{"lines", turn_lines_ - kLogLinesMax}});
    turn_ = reactor_.now();
    turn_lines_ = 0;
    said_now_.clear();
  }
  // What it says again and again is logged once a turn.
  if (line == said_now_) return;
  said_now_ = line;
  if (++turn_lines_ <= kLogLinesMax) log_.info("etcd says", {{"line", line}});
  // Of etcd 3.4, which then ends; it has no other way to tell.
  if (line.find("the member has been permanently removed from the cluster") != std::string::npos)
    removed_ = true;
  lines_.push_back(std::move(line));
  if (lines_.size() > kLinesMax) lines_.pop_front();
}

}  // namespace terrace::cluster
