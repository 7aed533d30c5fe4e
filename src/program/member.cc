#include "program/member.h"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>

#include <cstdlib>
#include <utility>

#include "program/entry.h"
#include "program/process_title.h"
#include "program/text_descriptor.h"
#include "program/waiting.h"
#include "topology/load.h"

namespace terrace::program {
namespace {

constexpr size_t kSiteBytesMax = 1 << 20;
// How often a server that is no member looks whether it has become one (`terrace join`).
constexpr std::chrono::seconds kIdentityLook{1};
// For a question to the shared state or to another server.
constexpr std::chrono::seconds kQuestionTimeout{5};

}  // namespace

topology::LoadedSite load_for_member(std::string text, const std::string& path) {
  topology::LoadOptions options;
  options.resolve = [](std::string_view) { return false; };
  options.look_at_folders = false;
  options.wants_something_to_serve = false;
  return topology::load_site_text(std::move(text), path, options);
}

Member::Member(Reactor& reactor, Log& log)
    : reactor_(reactor),
      log_(log),
      site_changed_(reactor),
      channel_(reactor, log, static_cast<cluster::Answerer&>(*this)),
      address_changed_(reactor),
      secrets_changed_(reactor),
      renew_now_(reactor),
      renew_traffic_now_(reactor),
      worker_news_(reactor),
      authority_changed_(reactor) {}

Result<void> Member::start() {
  supervisor_ = Descriptor(kSupervisorChannel);
  if (Result<void> watched = supervisor_watch_.start(reactor_, kSupervisorChannel); !watched) return watched;
  supervisor_watch_.readable = true;
  scope_.spawn(read_supervisor());
  scope_.spawn(live());
  return {};
}

Time Member::soon() const { return reactor_.now() + kQuestionTimeout; }

Task<void> Member::read_supervisor() {
  for (;;) {
    Result<Received> received = receive_record(supervisor_.get());
    if (received) {
      handle(*received);
      continue;
    }
    if (received.error().code != Code::kWouldBlock) std::_Exit(0);
    supervisor_watch_.readable = false;
    co_await Readable(supervisor_watch_);
  }
}

void Member::handle(Received& received) {
  if (const auto welcome = received.as<Welcome>()) return handle_welcome(*welcome);
  if (const auto site = received.as<Site>()) return handle_site(*site, received.take_descriptor());
  if (const auto peer = received.as<Peer>(); peer && peer->with == Process::kWorker)
    return take_worker(received.take_descriptor());
  log_.error("a record of unknown kind", {{"kind", static_cast<int64_t>(received.kind())}});
}

void Member::handle_welcome(const Welcome& welcome) {
  welcome_ = welcome;
  folders_ = {.state = std::string(welcome.state.view()),
              .run = std::string(welcome.run.view()),
              .log = std::string(welcome.log.view())};
  terrace_log_ = copy_to_terrace_log(log_, folders_.log);
  site_changed_.ring();
  if (const Result<void> opened = open_socket(); !opened)
    log_.error("cannot open the member's socket",
               {{"path", member_socket(folders_)}, {"error", describe(opened.error())}});
}

void Member::handle_site(const Site& record, const Descriptor& text) {
  Result<std::string> read = read_text_descriptor(text.get(), kSiteBytesMax);
  if (!read || !use_site(*std::move(read)))
    log_.error("the site cannot be read by the member", {{"path", record.path.view()}});
}

// Becomes a member, then stays one.
Task<void> Member::live() {
  while (!identity_) {
    co_await site_changed_.wait(kIdentityLook);
    if (folders_.state.empty()) continue;
    Result<void> taken = take_identity();
    if (!taken && !site_) continue;
    if (!taken && taken.error().code == Code::kNotFound && site_->servers.size() > 1) {
      std::string why = co_await found();
      say_why_not(why);
      if (why.empty()) taken = take_identity();
    }
    if (!taken && taken.error().code != Code::kNotFound) say_why_not(describe(taken.error()));
  }
  why_not_.clear();
  open_state();
  log_.info("this server is a member of the site",
            {{"server", identity_->server}, {"site", identity_->site}});
  // At its start the controller asks for the newest version before it accepts its own.
  while (!site_) {
    if (const std::optional<cluster::SiteVersion> last = shared_site()) (void)use_site(last->text);
    if (!site_) co_await site_changed_.wait(kIdentityLook);
  }
  // First what the last copy says, revocations above all.
  scope_.spawn(follow_shared());
  scope_.spawn(keep_listening());
  scope_.spawn(keep_certificate());
  take_traffic();
  scope_.spawn(keep_traffic());
  scope_.spawn(keep_worker_told());
  scope_.spawn(keep_authority());
  scope_.spawn(keep_secrets());
  scope_.spawn(follow_site());
}

// False when it cannot be read.
bool Member::use_site(std::string text) {
  const topology::LoadedSite loaded = load_for_member(text, std::string(welcome_.site_path.view()));
  if (!loaded.site) return false;
  site_ = loaded.site;
  site_text_ = std::move(text);
  site_changed_.ring();
  address_changed_.ring();
  look_at_certificates();
  end_unlisted();
  if (state_) use_servers();
  return true;
}

void Member::say_why_not(const std::string& why) {
  if (std::exchange(why_not_, why) != why && !why.empty())
    log_.warning("this server is no member of its site yet", {{"why", why}});
}

int run_member(int argc, char** argv) {
  Log log("member");
  own_process_title(argc, argv);
  set_process_title("terrace: member");
  ::signal(SIGPIPE, SIG_IGN);
  ::umask(077);
  // The server's key is in its memory.
  ::prctl(PR_SET_DUMPABLE, 0);
  const SystemClock clock;
  const Result<std::unique_ptr<Reactor>> reactor = Reactor::create(clock, {});
  if (!reactor) {
    log.error("cannot make a reactor", {{"error", describe(reactor.error())}});
    return 1;
  }
  // Never unwound: it leaves with the supervisor's channel.
  auto* member = new Member(**reactor, log);
  if (const Result<void> started = member->start(); !started) {
    log.error("started without a supervisor", {{"error", describe(started.error())}});
    std::_Exit(1);
  }
  (*reactor)->run();
  std::_Exit(1);
}

}  // namespace terrace::program
