// The supervisor's part about becoming the program that is installed now: a trial,
// the handover, and what the new program does with the processes of the old one.
//
// New and old worker serve side by side until the new one has the site, so there is
// no moment without one. Until execve(2) works nothing has changed.

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "program/supervisor.h"
#include "program/text_descriptor.h"
#include "program/version.h"

namespace terrace::program {
namespace {

// How long the old controller may write the last lines of the log, and the old member
// may end what it holds.
constexpr std::chrono::seconds kControllerLimit{2};
// How long the new worker may take until another upgrade may try its luck.
constexpr std::chrono::seconds kSettleLimit{30};
// Workers that finish what they have, for as long as drain_timeout. With more of
// them the first has to hurry.
constexpr size_t kRetiringMax = 8;

Descriptor memory_over_exec(const Handover& handover) {
  Result<Descriptor> memory = make_text_descriptor(handover_text(handover));
  if (!memory) return {};
  return Descriptor(::fcntl(memory->get(), F_DUPFD, 0));
}

}  // namespace

// ---- before

// Why not now; empty when nothing is in the way. What ends by itself begins with "busy".
std::string Supervisor::upgrade_obstacle() const {
  if (phase_ != Phase::kRunning) return "the site stops";
  if (trial_) return "busy: an upgrade is under way";
  if (deploying_ || instances_.has_jobs()) return "busy: a deploy or a backup is under way";
  const bool unsettled = std::ranges::any_of(retiring_, [](const Predecessor& each) { return !each.told; });
  if ((unsettled || old_controller_ || old_member_) && now_ - upgraded_ < kSettleLimit)
    return "busy: the upgrade before this one is not complete";
  return "";
}

void Supervisor::begin_upgrade() {
  if (const std::string obstacle = upgrade_obstacle(); !obstacle.empty()) return refuse_upgrade(obstacle);
  Result<UpgradeTrial> trial = UpgradeTrial::start(parts_.program_path, parts_.root ? &parts_.own : nullptr,
                                                   handover_text(handover()), now_);
  if (!trial) return refuse_upgrade(parts_.program_path + ": " + describe(trial.error()));
  trial_ = std::move(*trial);
}

void Supervisor::refuse_upgrade(const std::string& why) {
  log_.error("no upgrade: the program that runs goes on", {{"why", why}});
  UpgradeRefused refused;
  (void)refused.why.set(std::string_view(why).substr(0, 1023));
  tell(controller_, refused);
}

void Supervisor::end_trial(int status) {
  std::string problem = trial_->problem(status);
  // What the controller has asked for is done by the program that it asked.
  read_records(controller_);
  // It may have begun a deploy during the trial.
  const bool busy = problem.empty() && (deploying_ || instances_.has_jobs());
  if (problem.empty() && !busy && phase_ == Phase::kRunning) hand_over();
  if (problem.empty()) problem = "it cannot be executed";
  trial_.reset();
  if (phase_ != Phase::kRunning) return;
  refuse_upgrade(busy ? "busy: a deploy or a backup has begun" : parts_.program_path + ": " + problem);
}

Handover Supervisor::handover() const {
  const auto child = [](const ChildProcess& each) {
    return Handover::Child{.pid = each.pid(), .starts = each.starts(), .channel = each.channel()};
  };
  Handover all{.version = kVersion,
               .program = parts_.program_path,
               .upgrades = upgrades_ + 1,
               .site_path = parts_.up.site_path,
               .server = parts_.up.server,
               .folders = parts_.folders,
               .isolation = parts_.isolation,
               .cores = parts_.cores,
               .descriptors = parts_.descriptors,
               .serving = serving_,
               .lock = parts_.lock.get(),
               .controller = child(controller_),
               .worker = child(worker_),
               .member = child(member_)};
  for (const Predecessor& each : retiring_)
    all.retiring.push_back(
        {.pid = each.pid, .starts = each.starts, .channel = each.channel.get(), .told = each.told});
  for (const Listeners::Held& held : listeners_.held()) {
    all.listeners.push_back({.purpose = held.purpose, .requested = held.requested, .bound = held.bound});
    for (const Descriptor& socket : held.sockets) all.listeners.back().sockets.push_back(socket.get());
  }
  all.instances = instances_.hand_over();
  all.left_groups = instances_.left_groups();
  if (site_) {
    all.site = Handover::Text{.version = site_->version,
                              .bytes = site_->bytes,
                              .path = std::string(site_->path.view()),
                              .text = site_text_.get()};
  }
  all.secrets = secrets_.get();
  return all;
}

// Returns when it did not work; then nothing has changed.
void Supervisor::hand_over() {
  const Handover all = handover();
  const Descriptor memory = memory_over_exec(all);
  if (!memory) return;
  log_.info("becoming another version",
            {{"from", kVersion}, {"to", trial_->version()}, {"program", parts_.program_path}});
  keep_over_exec(all, true);
  const Error error = trial_->execute(memory.get(), parts_.up.site_path);
  keep_over_exec(all, false);
  log_.error("cannot execute the new program", {{"error", describe(error)}});
}

// ---- after

void Supervisor::adopt(const Handover& handover) {
  upgrades_ = handover.upgrades;
  upgraded_ = now_;
  serving_ = handover.serving;
  for (const Handover::Socket& each : handover.listeners) {
    Listeners::Held held{.purpose = each.purpose, .requested = each.requested, .bound = each.bound};
    for (const int socket : each.sockets) held.sockets.emplace_back(socket);
    listeners_.adopt(std::move(held));
  }
  instances_.adopt(handover);
  if (const auto& site = handover.site) {
    site_ = Site{.version = site->version, .bytes = site->bytes};
    (void)site_->path.set(site->path);
    site_text_ = Descriptor(site->text);
  }
  secrets_ = Descriptor(handover.secrets);
  controller_.count_from(handover.controller.starts);
  worker_.count_from(handover.worker.starts);
  member_.count_from(handover.member.starts);
  const auto predecessor = [](const Handover::Child& child) {
    return Predecessor{
        .pid = child.pid, .starts = child.starts, .channel = Descriptor(child.channel), .told = child.told};
  };
  for (const Handover::Child& each : handover.retiring) retiring_.push_back(predecessor(each));
  if (handover.worker.pid > 0) retiring_.push_back(predecessor(handover.worker));
  if (handover.controller.pid > 0) {
    // Two controllers would write one log: the next one starts when this one has left.
    old_controller_ = predecessor(handover.controller);
    ::shutdown(old_controller_->channel.get(), SHUT_WR);
    old_controller_->kill_at = now_ + kControllerLimit;
  }
  if (handover.member.pid > 0) {
    // Two would listen at one address. The next starts when the new controller asks for it.
    old_member_ = predecessor(handover.member);
    ::shutdown(old_member_->channel.get(), SHUT_WR);
    old_member_->kill_at = now_ + kControllerLimit;
  }
  log_.info("took over", {{"from", handover.version}, {"to", kVersion}});
}

bool Supervisor::predecessor_ended(pid_t pid) {
  if (old_controller_ && old_controller_->pid == pid) {
    old_controller_.reset();
    instances_.end_jobs();
    if (phase_ == Phase::kRunning) start_child(controller_);
    return true;
  }
  if (old_member_ && old_member_->pid == pid) {
    old_member_.reset();
    want_member(member_wanted_);
    return true;
  }
  const size_t ended = std::erase_if(retiring_, [&](const Predecessor& each) { return each.pid == pid; });
  if (ended > 0) say_retiring();
  return ended > 0;
}

// The new worker serves. The old ones stop accepting and finish what they have.
void Supervisor::retire_workers() {
  for (Predecessor& worker : retiring_) {
    if (worker.told) continue;
    log_.info("the new worker serves; the one before finishes what it has",
              {{"new", worker_.pid()}, {"old", worker.pid}});
    tell_retiring(worker);
  }
  if (retiring_.size() > kRetiringMax) tell_retiring(retiring_[retiring_.size() - kRetiringMax - 1]);
}

void Supervisor::tell_retiring(Predecessor& worker) {
  ::kill(worker.pid, kRetireSignal);
  worker.told = true;
}

void Supervisor::say_retiring() {
  tell(controller_, WorkersRetiring{.count = static_cast<uint32_t>(retiring_.size())});
}

void Supervisor::kill_overdue_predecessors() {
  if (trial_ && trial_->deadline() <= now_) trial_->kill();
  for (std::optional<Predecessor>* each : {&old_controller_, &old_member_}) {
    if (!*each || !(*each)->kill_at || *(*each)->kill_at > now_) continue;
    ::kill((*each)->pid, SIGKILL);
    (*each)->kill_at.reset();
  }
}

void Supervisor::kill_predecessors() {
  if (old_member_) ::kill(old_member_->pid, SIGKILL);
  for (const Predecessor& worker : retiring_) ::kill(worker.pid, SIGKILL);
}

}  // namespace terrace::program
