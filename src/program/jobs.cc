#include "program/jobs.h"

#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "app/lifecycle.h"
#include "program/controller.h"
#include "program/launch.h"
#include "program/waiting.h"

namespace terrace::program {

// SIGTERM first, SIGKILL once the grace is over too.
struct Jobs::Deadline final : Timer {
  void expired() override;
  Jobs* jobs = nullptr;
  Running* job = nullptr;
};

struct Jobs::Running {
  explicit Running(Reactor& reactor) : ended(reactor) {}

  std::string name;
  uint32_t slot = 0;
  uint32_t generation = 0;
  Duration grace{};
  JobLine on_line;
  Descriptor output;
  Watch watch;
  Lines lines;
  JobResult result;
  Deadline deadline;
  bool terminated = false;
  bool reading = false;  // read_output() is about it
  bool over = false;     // it has ended, perhaps not yet its output
  Event ended;
};

void Jobs::Deadline::expired() {
  const bool kills = std::exchange(job->terminated, true);
  jobs->signal(*job, kills ? SIGKILL : SIGTERM);
  const Duration pause = kills ? std::max(job->grace, app::kKillAgain) : job->grace;
  jobs->reactor_.timers().arm(*this, jobs->reactor_.now() + pause);
}

Result<StartInstance> Jobs::record_of(const topology::Site& site, const JobPlan& plan) const {
  Result<StartInstance> record = start_record(site, plan.environment, ListenPlace{}, free_slot(), next_);
  if (!record) return record;
  if (record->slot >= kSlotsMax + kJobsMax) return fail(Code::kLimit, "job", "too many run already");
  std::string command = plan.command;
  for (const std::string& argument : plan.arguments) {
    if (argument.find(kArgumentEnd) != std::string::npos)
      return fail(Code::kInvalid, "job", "an argument with a line end");
    command += argument + kArgumentEnd;
  }
  record->own_program = plan.arguments.empty() ? 0 : 1;
  record->as_owner = plan.as_owner ? 1 : 0;
  if (!record->job.set(plan.name) || !record->folder.set(plan.folder) || !record->command.set(command))
    return fail(Code::kLimit, "job", "the command or the folder is too long");
  return record;
}

Task<JobResult> Jobs::run(std::shared_ptr<const topology::Site> site, JobPlan plan, JobLine on_line) {
  ++next_;
  const Result<StartInstance> record = record_of(*site, plan);
  if (!record) co_return JobResult{.how = "not started: " + describe(record.error()), .last_lines = {}};
  auto job = std::make_shared<Running>(reactor_);
  job->name = plan.name;
  job->slot = record->slot;
  job->generation = record->generation;
  job->grace = site->app.grace;
  job->on_line = std::move(on_line);
  job->deadline.jobs = this;
  job->deadline.job = job.get();
  running_[job->slot] = job;
  starter_.start_job(*record, plan.input.get());
  // Ours is the other end: with this one open it would never see an end.
  plan.input.reset();
  if (plan.limit > Duration::zero()) reactor_.timers().arm(job->deadline, reactor_.now() + plan.limit);
  co_await job->ended.wait();
  job->deadline.disarm();
  co_return std::move(job->result);
}

uint32_t Jobs::free_slot() const {
  uint32_t slot = kSlotsMax;
  while (running_.contains(slot)) ++slot;
  return slot;
}

Jobs::Running* Jobs::find(std::string_view name) const {
  const auto found =
      std::ranges::find_if(running_, [&](const auto& each) { return each.second->name == name; });
  return found == running_.end() ? nullptr : found->second.get();
}

void Jobs::signal(const Running& job, int signal) {
  starter_.signal_job({.slot = job.slot, .generation = job.generation, .signal = signal});
}

void Jobs::cancel(std::string_view name) {
  Running* job = find(name);
  if (job != nullptr && !job->terminated) job->deadline.expired();
}

// ---- what the supervisor says

void Jobs::handle(const InstanceRunning& record, Descriptor output) {
  const auto found = running_.find(record.slot);
  if (found == running_.end() || found->second->generation != record.generation) return;
  found->second->output = std::move(output);
  found->second->reading = true;
  scope_.spawn(read_output(found->second));
}

void Jobs::handle(const InstanceEnded& record) {
  const auto found = running_.find(record.slot);
  if (found == running_.end() || found->second->generation != record.generation) return;
  const std::shared_ptr<Running> job = found->second;
  job->result.how = end_text(record);
  job->result.success = record.status == 0 && record.error.view().empty();
  job->over = true;
  if (!job->reading) return finish(*job);
  // What it said last is read before its end is told.
  job->watch.readable = true;
  if (job->watch.reader) reactor_.resume_later(std::exchange(job->watch.reader, nullptr));
}

void Jobs::finish(Running& job) {
  if (std::string rest = job.lines.take_rest(); !rest.empty()) say(job, {std::move(rest)});
  log_.write(job.name, "ended: " + job.result.how);
  running_.erase(job.slot);
  job.ended.set();
}

// ---- output

Task<void> Jobs::read_output(std::shared_ptr<Running> job) {
  const Result<void> watched = job->watch.start(reactor_, job->output.get());
  job->watch.readable = true;
  while (watched && take_output(*job)) {
    if (job->over && !job->watch.readable) break;
    co_await yield(reactor_);
    if (!job->over) co_await Readable(job->watch);
  }
  job->watch.stop();
  job->reading = false;
  if (job->over) finish(*job);
}

// Reads what is there, a little at a time: others have their turn. False at the end.
bool Jobs::take_output(Running& job) {
  constexpr int kBlocksPerTurn = 16;
  for (int i = 0; i < kBlocksPerTurn; ++i) {
    const std::span<char> block = reactor_.scratch();
    const ssize_t n = ::read(job.output.get(), block.data(), block.size());
    if (n < 0 && errno == EAGAIN) {
      job.watch.readable = false;
      return true;
    }
    if (n <= 0) return false;
    say(job, job.lines.add({block.data(), static_cast<size_t>(n)}));
  }
  return true;
}

void Jobs::say(Running& job, std::deque<std::string> lines) {
  log_.write(job.name, lines);
  for (std::string& line : lines) {
    if (job.on_line) job.on_line(line);
    job.result.last_lines.push_back(std::move(line));
  }
  while (job.result.last_lines.size() > kJobLastLines) job.result.last_lines.pop_front();
}

}  // namespace terrace::program
