// The controller's part about deploys of the whole site: the member asks each server for
// one step after the other, and decides what follows. Each of them leaves this server
// whole: a release that is not there, or is ready, or serves.

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/socket.h>

#include <chrono>
#include <nlohmann/json.hpp>
#include <utility>

#include "program/controller.h"
#include "program/deploy.h"
#include "program/upload.h"

namespace terrace::program {
namespace {

using Json = nlohmann::json;
using StepKind = DeployStep::Kind;

// How long a client may take nothing of what it is sent.
constexpr std::chrono::minutes kPause{5};
constexpr std::chrono::minutes kPackLimit{30};
constexpr size_t kBlock = 256 << 10;
constexpr size_t kReasonBytesMax = 2000;
// Its standard input is a channel in both directions; what it says else is for the log.
constexpr const char* kPack = "exec tar --create --file=- . >&0";

std::string line_of(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
}

std::string failure(const std::string& text) { return line_of({{"ok", false}, {"error", text}}); }

bool is_ready(const ReleaseTable& table, uint32_t number) {
  const Release* release = table.find(number);
  return release != nullptr && release->state == ReleaseState::kReady;
}

}  // namespace

std::string Controller::why_no_step(const DeployStep& step) const {
  if (std::string busy = why_no_deploy(); !busy.empty()) return busy;
  const bool comes = step.kind == StepKind::kBuild || step.kind == StepKind::kStage;
  if (comes && step.release == 0) return "releases are numbered from 1";
  if (comes && is_ready(releases_, step.release))
    return fmt::format("release {} is here already", step.release);
  const bool own_folder = step.kind == StepKind::kSwitch && step.release == 0;
  if (comes || own_folder || is_ready(releases_, step.release)) return "";
  return fmt::format("release {} is not here", step.release);
}

Task<std::string> Controller::answer_step(Conversation& talk, DeployStep step) {
  if (step.kind == StepKind::kSwitch && step.release == releases_.current() && !deploy_)
    co_return line_of({{"ok", true}, {"release", step.release}, {"serving", step.release}, {"seconds", 0.0}});
  if (const std::string busy = why_no_step(step); !busy.empty()) co_return failure(busy);
  const std::shared_ptr<Deploy> deploy = begin_deploy(talk, step.by);
  deploy->number = step.release;
  deploy->step = step.kind;
  deploy->bakes = step.bakes;
  std::string problem;
  switch (step.kind) {
    case StepKind::kBuild:
      problem = co_await build_here(*deploy);
      break;
    case StepKind::kStage:
      problem = co_await stage_here(*deploy);
      break;
    case StepKind::kMigrate:
      problem = co_await migrate_here(*deploy);
      break;
    case StepKind::kSwitch:
      problem = co_await switch_here(*deploy);
      break;
  }
  const std::string answer = co_await end_deploy(*deploy, std::move(problem));
  co_return answer;
}

// ---- a release comes to be here

Task<std::string> Controller::build_here(Deploy& deploy) {
  static constexpr DeployPhase kPhases[] = {{"upload", &Controller::unpack_release},
                                            {"prepare", &Controller::prepare_release},
                                            {"build", &Controller::build_release}};
  const std::string problem = co_await make_staged(deploy, kPhases);
  co_return problem;
}

// Built by another server: only what outlives releases is this server's own.
Task<std::string> Controller::stage_here(Deploy& deploy) {
  static constexpr DeployPhase kPhases[] = {{"upload", &Controller::unpack_release},
                                            {"prepare", &Controller::prepare_release},
                                            {"prepare", &Controller::measure_release}};
  const std::string problem = co_await make_staged(deploy, kPhases);
  co_return problem;
}

Task<std::string> Controller::make_staged(Deploy& deploy, std::span<const DeployPhase> phases) {
  deploy.phase = "upload";
  // What is left of an attempt that was cut off.
  co_await remove_unneeded_releases(deploy.number);
  releases_.begin(deploy.number, deploy.since);
  if (const Result<void> saved = release_file().save(releases_); !saved)
    co_return "releases.json cannot be written: " + describe(saved.error());
  std::string problem = co_await go_through_phases(deploy, phases);
  if (problem.empty()) releases_.make_ready(deploy.number, deploy.bytes);
  co_return problem;
}

// ---- what is done with it

Task<std::string> Controller::migrate_here(Deploy& deploy) {
  static constexpr DeployPhase kPhases[] = {{"migrate", &Controller::migrate_release}};
  deploy.fails_release = false;
  const std::string folder = release_folder(folders_.state, deploy.number);
  deploy.site = std::make_shared<const topology::Site>(topology::at_root(*site_, folder));
  const std::string problem = co_await go_through_phases(deploy, kPhases);
  co_return problem;
}

Task<std::string> Controller::switch_here(Deploy& deploy) {
  static constexpr DeployPhase kPhases[] = {{"start", &Controller::switch_to_release},
                                            {"bake", &Controller::bake_release}};
  deploy.fails_release = false;
  deploy.phase = "start";
  const std::string folder = deploy.number == 0 ? "" : release_folder(folders_.state, deploy.number);
  deploy.site = std::make_shared<const topology::Site>(topology::at_root(*site_, folder));
  std::string problem;
  if (deploy.number != 0) problem = other_owner(deploy.number);
  if (problem.empty() && deploy.number != 0) problem = what_is_missing(*deploy.site);
  if (!problem.empty()) co_return problem;
  const topology::AppTable& app = deploy.site->app;
  const bool links = !app.writable.empty() || !deploy.site->db.link.empty();
  if (links && releases_.current() == 0 && deploy.number != 0) deploy.linked_from = site_->app.folder;
  problem = co_await go_through_phases(deploy, kPhases);
  co_return problem;
}

// It was given up site-wide: nobody will ask for it again.
Task<std::string> Controller::answer_fail_release(uint32_t number, std::string reason) {
  if (deploy_) co_return failure("a deploy is under way");
  if (number == releases_.current()) co_return failure(fmt::format("release {} serves", number));
  if (releases_.find(number) == nullptr) co_return line_of({{"ok", true}});
  if (reason.size() > kReasonBytesMax) reason.resize(kReasonBytesMax);
  releases_.fail(number, std::move(reason));
  releases_.trim();
  if (const Result<void> saved = release_file().save(releases_); !saved)
    log_.error("releases.json could not be written", {{"error", describe(saved.error())}});
  co_await remove_unneeded_releases(releases_.last);
  co_return line_of({{"ok", true}});
}

// ---- for other servers

Task<std::string> Controller::answer_pack_release(Conversation& talk, uint32_t number) {
  if (!site_ || !complete_) co_return failure("the site has not started yet");
  if (!is_ready(releases_, number)) co_return failure(fmt::format("release {} is not here", number));
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0)
    co_return failure(describe(fail_system("socketpair").error()));
  Descriptor ours(ends[0]);
  Descriptor theirs(ends[1]);
  net::Stream packed;
  Result<void> opened = ::fcntl(ours.get(), F_SETFL, O_NONBLOCK) == 0 ? Result<void>() : fail_system("fcntl");
  if (opened) opened = packed.open(reactor_, std::move(ours));
  if (!opened) co_return failure(describe(opened.error()));
  JobPlan plan = job_in(release_folder(folders_.state, number), fmt::format("pack-{}", number), ++packs_);
  const std::string name = plan.name;
  plan.command = kPack;
  plan.as_owner = true;
  plan.input = std::move(theirs);
  plan.limit = kPackLimit;
  // tar needs no secret.
  std::erase_if(plan.environment, [](const topology::Named& each) { return each.name != "PATH"; });
  auto tar = std::make_shared<BesideJob>(reactor_);
  scope_.spawn(run_beside(tar, std::move(plan), {}));
  talk.say(fmt::format(R"({{"ready":true,"release":{}}})", number));
  const std::string cut = co_await send_packed(talk, packed);
  if (!cut.empty()) jobs_.cancel(name);
  packed.close();
  co_await tar->ended.wait();
  // Without the frame that ends it nobody takes a part for the whole.
  if (!cut.empty() || !tar->result.success) co_return "";
  co_return upload_length(0) + line_of({{"ok", true}});
}

Task<std::string> Controller::send_packed(Conversation& talk, net::Stream& packed) {
  std::vector<char> block(kBlock);
  for (;;) {
    const Result<size_t> read = packed.read_now(block);
    if (!read && read.error().code == Code::kWouldBlock) {
      const Result<void> readable = co_await packed.readable(reactor_.now() + kPause);
      if (!readable) co_return describe(readable.error());
      continue;
    }
    if (!read) co_return describe(read.error());
    if (*read == 0) co_return "";
    std::string frame = talk.take_pending() + upload_length(*read);
    frame.append(block.data(), *read);
    const Result<void> written = co_await talk.stream().write_all(frame, kPause);
    if (!written) co_return describe(written.error());
  }
}

}  // namespace terrace::program
