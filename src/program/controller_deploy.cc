// The controller's part about deploys and rollbacks: one at a time, a phase after the
// other, and at every moment a site that serves. controller_release.cc has the phases
// that work on the release's files.

#include "program/deploy.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <nlohmann/json.hpp>
#include <utility>

#include "program/controller.h"
#include "program/status.h"

namespace terrace::program {
namespace {

using Json = nlohmann::json;

// Names under which releases.json is prepared.
constexpr const char* kNext = "next";
constexpr const char* kBack = "back";
constexpr const char* kBake = "bake";
constexpr std::chrono::milliseconds kTakeBackPause{20};
constexpr size_t kNameBytesMax = 100;
constexpr const char* kAskTheMember =
    "this server is one of several, and its member, which deploys to all of them, does not answer; "
    "`terrace status` says why";
constexpr size_t kReasonBytesMax = 2000;

int64_t seconds_since_1970() {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  return std::chrono::duration_cast<std::chrono::seconds>(now).count();
}

// Texts of the site and of the app are not all UTF-8; JSON is.
std::string line_of(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
}

Json failure_of(const std::string& text) { return {{"ok", false}, {"error", text}}; }

Json json_of(const Release& release) {
  constexpr const char* kWords[] = {"building", "ready", "failed"};
  Json json = {{"number", release.number},
               {"made", release.made},
               {"state", kWords[static_cast<size_t>(release.state)]},
               {"bytes", release.bytes}};
  if (!release.reason.empty()) json["reason"] = release.reason;
  return json;
}

Json json_of(const Deploy& deploy, Time now) {
  return {{"release", deploy.number}, {"rollback", deploy.rollback},
          {"phase", deploy.phase},    {"by", deploy.by},
          {"since", deploy.since},    {"seconds", std::chrono::duration<double>(now - deploy.began).count()}};
}

// Who shares a terminal with others can be told by this.
std::string busy_text(const Deploy& deploy, Time now) {
  return fmt::format("{} {} is under way, by {}, since {:.0f} s, now at `{}`",
                     deploy.rollback ? "a rollback to release" : "the deploy of release", deploy.number,
                     deploy.by.empty() ? "somebody" : deploy.by,
                     std::chrono::duration<double>(now - deploy.began).count(), deploy.phase);
}

}  // namespace

// ---- the commands

std::string Controller::why_no_deploy() const {
  if (stopping_) return "the site stops";
  if (!site_ || !complete_) return "the site has not started yet";
  if (deploy_) return busy_text(*deploy_, reactor_.now());
  if (taking_site_) return "the site file is being changed";
  if (first_migration_) return "the site's first `migrate` is under way";
  if (backups_.restoring()) return "a restore is under way";
  if (lifecycle_.held()) return "the application is held; try again when that is over";
  if (!releases_readable_) return "releases.json cannot be read; see `terrace logs --terrace`";
  return "";
}

std::shared_ptr<Deploy> Controller::begin_deploy(Conversation& talk, std::string by) {
  deploy_ = std::make_shared<Deploy>(reactor_, talk);
  deploy_->since = seconds_since_1970();
  deploy_->by = by.substr(0, kNameBytesMax);
  tell_supervisor(Deploying{.begins = 1});
  return deploy_;
}

Task<std::string> Controller::answer_deploy(Conversation& talk, std::string by) {
  if (applied_ != 0) co_return line_of(failure_of(kAskTheMember));
  if (const std::string busy = why_no_deploy(); !busy.empty()) co_return line_of(failure_of(busy));
  const std::shared_ptr<Deploy> deploy = begin_deploy(talk, std::move(by));
  ReleaseTable table = releases_;
  // Folders of a table that was removed: their numbers were used.
  if (const std::vector<uint32_t> made = release_folders(folders_.state); !made.empty())
    table.last = std::max(table.last, made.back());
  deploy->number = table.begin(deploy->since);
  deploy->phase = "upload";
  std::string problem;
  if (const Result<void> saved = release_file().save(table); !saved) {
    problem = "releases.json cannot be written: " + describe(saved.error());
    deploy->number = 0;
  } else {
    releases_ = table;
    log_.info("a deploy begins", {{"release", int64_t{deploy->number}}, {"by", deploy->by}});
    static constexpr DeployPhase kPhases[] = {
        {"upload", &Controller::unpack_release},   {"prepare", &Controller::prepare_release},
        {"build", &Controller::build_release},     {"migrate", &Controller::migrate_release},
        {"start", &Controller::switch_to_release}, {kBake, &Controller::bake_release}};
    problem = co_await go_through_phases(*deploy, kPhases);
  }
  const std::string answer = co_await end_deploy(*deploy, std::move(problem));
  co_return answer;
}

Task<std::string> Controller::go_through_phases(Deploy& deploy, std::span<const DeployPhase> phases) {
  for (const DeployPhase& phase : phases) {
    deploy.phase = phase.name;
    std::string problem = co_await (this->*phase.run)(deploy);
    if (deploy.cancelled && !deploy.switched) problem = "it was called off";
    if (!problem.empty()) co_return problem;
  }
  co_return "";
}

// In the first minute the release before stands by: the deploy itself goes back to it.
Task<std::string> Controller::take_back(std::shared_ptr<Deploy> deploy, std::string by) {
  const Time began = reactor_.now();
  log_.info("a rollback ends the first minute", {{"release", int64_t{deploy->number}}, {"by", by}});
  deploy->taken_back = true;
  while (deploy_ == deploy && !stopping_) co_await sleep(reactor_, kTakeBackPause);
  const double seconds = std::chrono::duration<double>(reactor_.now() - began).count();
  const uint32_t serving = releases_.current();
  co_return line_of({{"ok", true}, {"release", serving}, {"serving", serving}, {"seconds", seconds}});
}

Task<std::string> Controller::answer_rollback(Conversation& talk, std::string by) {
  if (deploy_ && deploy_->phase == kBake && lifecycle_.baking() && !stopping_) {
    const std::string taken_back = co_await take_back(deploy_, std::move(by));
    co_return taken_back;
  }
  if (applied_ != 0) co_return line_of(failure_of(kAskTheMember));
  if (const std::string busy = why_no_deploy(); !busy.empty()) co_return line_of(failure_of(busy));
  if (releases_.served.size() < 2) {
    const std::string none = releases_.current() == 0
                                 ? "nothing has been deployed yet"
                                 : fmt::format("there is no release before release {}", releases_.current());
    co_return line_of(failure_of(none));
  }
  const std::shared_ptr<Deploy> deploy = begin_deploy(talk, std::move(by));
  deploy->number = releases_.previous();
  deploy->rollback = true;
  deploy->fails_release = false;
  deploy->phase = "start";
  deploy->site = std::make_shared<const topology::Site>(
      topology::at_root(*site_, release_folder(folders_.state, deploy->number)));
  log_.info("a rollback begins", {{"release", int64_t{deploy->number}}, {"by", deploy->by}});
  std::string problem = other_owner(deploy->number);
  if (problem.empty()) problem = what_is_missing(*deploy->site);
  if (problem.empty()) problem = co_await switch_to_release(*deploy);
  if (problem.empty()) lifecycle_.keep(reactor_.now());
  settle();
  const std::string answer = co_await end_deploy(*deploy, std::move(problem));
  co_return answer;
}

std::string Controller::answer_cancel() {
  if (!deploy_) return line_of(failure_of("nothing is being deployed"));
  if (deploy_->switched)
    return line_of(failure_of("release " + std::to_string(deploy_->number) + " serves already"));
  deploy_->cancelled = true;
  if (!deploy_->job.empty()) jobs_.cancel(deploy_->job);
  lifecycle_.cancel_switch(reactor_.now());
  settle();
  return line_of({{"ok", true}});
}

std::string Controller::answer_releases() const {
  Json releases = Json::array();
  for (const Release& each : releases_.releases) releases.push_back(json_of(each));
  Json answer = {{"ok", true},
                 {"current", releases_.current()},
                 {"previous", releases_.previous()},
                 {"releases", releases}};
  if (deploy_) answer["deploy"] = json_of(*deploy_, reactor_.now());
  return line_of(answer);
}

// ---- the switch

// Whose candidates it starts; everybody else starts with the site that serves.
bool Controller::is_candidate(const app::Member& member) const {
  return deploy_ && deploy_->site && member.recipe == recipe_of(*deploy_->site);
}

const topology::Site& Controller::site_of(const app::Member& member) const {
  return is_candidate(member) ? *deploy_->site : *site_;
}

uint32_t Controller::release_of(const app::Member& member) const {
  return is_candidate(member) ? deploy_->number : releases_.current();
}

Task<std::string> Controller::switch_to_release(Deploy& deploy) {
  deploy.talk.progress(deploy.phase, "");
  deploy.next = releases_;
  if (deploy.rollback) {
    deploy.next.go_back("");
  } else if (deploy.step) {
    deploy.next.serve(deploy.number);
  } else {
    deploy.next.switch_to(deploy.number, deploy.bytes);
  }
  deploy.back = deploy.next;
  deploy.back.go_back("it was worse than the release before");
  Result<void> prepared = release_file().prepare(kNext, deploy.next);
  if (prepared && !deploy.rollback) prepared = release_file().prepare(kBack, deploy.back);
  if (!prepared) co_return "releases.json cannot be written: " + describe(prepared.error());
  deploy.bake.old_recipe = recipe_of(*site_);
  // Where nothing has served yet there is nothing to compare with.
  deploy.bakes = deploy.bakes && !awaits_release();
  deploy.bake.fresh_recipe = recipe_of(*deploy.site);
  deploy.bake.old_before = co_await fresh_figures_of(deploy.bake.old_recipe);
  deploy.bake.old_ends = ends_in_a_row();
  deploy.bake.fresh_before = figures_of(deploy.bake.fresh_recipe);
  if (deploy.cancelled || stopping_) co_return "it was called off";
  deploy.switch_result.reset();
  look_after_release(deploy.number, *deploy.site);
  // Back to where nothing was deployed yet there may be nothing to start.
  const bool bare = deploy.number == 0 && program::awaits_release(deploy.site->path, deploy.next);
  const app::LifecyclePlan plan = plan_of(bare ? without_release(*deploy.site) : *deploy.site);
  if (!lifecycle_.switch_over(plan, reactor_.now())) co_return "the instances cannot be switched over now";
  settle();
  while (!deploy.switch_result) {
    deploy.changed.reset();
    co_await deploy.changed.wait();
  }
  if (!*deploy.switch_result) co_return deploy.why;
  co_await wait_until_worker_serves();
  co_return "";
}

// Between what the lifecycle did before and what it publishes next: the table on disk,
// then the worker's files, then the instances, on one channel in this order.
void Controller::switched() {
  if (!deploy_) return;
  serve_release(kNext, deploy_->next);
  deploy_->before = std::exchange(site_, deploy_->site);
  deploy_->switched = true;
  deploy_->switch_result = true;
  deploy_->changed.set();
  ++version_;
  tell_worker_site();
  log_.info("a release serves", {{"release", int64_t{releases_.current()}}});
}

void Controller::went_back() {
  if (!deploy_ || !deploy_->before) return;
  serve_release(kBack, deploy_->back);
  site_ = deploy_->before;
  ++version_;
  tell_worker_site();
  log_.warning("the release before serves again", {{"release", int64_t{releases_.current()}}});
}

void Controller::serve_release(const char* prepared, const ReleaseTable& table) {
  releases_ = table;
  if (const Result<void> done = release_file().commit(prepared); !done)
    log_.error("releases.json could not be changed", {{"error", describe(done.error())}});
}

void Controller::switch_failed(const app::Action& action) {
  if (!deploy_) return;
  const std::string name = instance_name(action.slot);
  deploy_->why = "the switch was given up";
  if (const auto found = instances_.find({action.slot, action.generation}); found != instances_.end()) {
    deploy_->last_lines = found->second->last_lines;
    deploy_->why =
        fmt::format("{} was not healthy within {}: {} {}", name,
                    duration_words(std::chrono::duration<double>(site_->app.start_timeout).count()),
                    site_->app.health, found->second->last_probe);
  } else if (action.generation != 0) {
    deploy_->last_lines = memory_[action.slot].last_output;
    deploy_->why = fmt::format("{} ended while it started: {}", name, memory_[action.slot].last_exit);
  }
  deploy_->switch_result = false;
  deploy_->changed.set();
}

// ---- the first minute

Task<std::string> Controller::bake_release(Deploy& deploy) {
  if (!deploy.linked_from.empty()) co_await link_late_writes(deploy);
  deploy.bake.limit = deploy.site->app.bake;
  app::BakeVerdict verdict;
  // Files alone have nothing that could be compared.
  const bool has_app = !deploy.site->app.run.empty();
  if (has_app && deploy.bakes && deploy.bake.limit > Duration::zero() && lifecycle_.baking()) {
    deploy.talk.progress(deploy.phase, "");
    verdict = co_await bake(deploy.bake);
    // It serves, and the next start goes on with it: that the site stops is not its fault.
    if (stopping_) co_return "";
    deploy.talk.progress(deploy.phase, verdict.reason);
  }
  std::string problem = verdict.worse ? "it is worse than the release before: " + verdict.reason : "";
  if (deploy.taken_back) problem = "it was rolled back";
  if (!problem.empty()) {
    deploy.back = releases_;
    deploy.back.go_back(problem);
    // The one that was prepared before the switch does as well, but for the reason.
    (void)release_file().prepare(kBack, deploy.back);
    lifecycle_.go_back(reactor_.now());
  } else {
    lifecycle_.keep(reactor_.now());
  }
  settle();
  co_return problem;
}

// ---- the end

Task<std::string> Controller::end_deploy(Deploy& deploy, std::string problem) {
  if (problem.size() > kReasonBytesMax) problem.resize(kReasonBytesMax);
  const std::string phase = deploy.phase;
  if (!problem.empty() && deploy.fails_release) releases_.fail(deploy.number, problem);
  releases_.trim();
  Result<void> saved = release_file().save(releases_);
  for (const char* prepared : {kNext, kBack}) release_file().forget(prepared);
  deploy.phase = "clean up";
  co_await remove_unneeded_releases(releases_.last);
  // Room may be there only now.
  if (!saved) saved = release_file().save(releases_);
  if (!saved) log_.error("releases.json could not be written", {{"error", describe(saved.error())}});
  const double seconds = std::chrono::duration<double>(reactor_.now() - deploy.began).count();
  Json answer = {{"ok", problem.empty()},
                 {"release", deploy.number},
                 {"serving", releases_.current()},
                 {"seconds", seconds}};
  if (problem.empty()) {
    log_.info(deploy.step ? "a step of a deploy is done" : "the deploy is done",
              {{"release", int64_t{deploy.number}}, {"phase", phase}});
  } else {
    answer["error"] = problem;
    answer["phase"] = phase;
    answer["output"] = deploy.last_lines;
    log_.error(deploy.step ? "a step of a deploy failed" : "the deploy failed",
               {{"release", int64_t{deploy.number}}, {"phase", phase}, {"reason", problem}});
  }
  deploy_.reset();
  tell_supervisor(Deploying{.begins = 0});
  co_return line_of(answer);
}

}  // namespace terrace::program
