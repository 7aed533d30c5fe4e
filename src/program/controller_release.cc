// The controller's part about the files of a release: unpacked, linked, built, migrated
// and removed by jobs, as the app's user.

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <filesystem>
#include <vector>

#include "database/sqlite.h"
#include "program/controller.h"
#include "program/deploy.h"
#include "program/upload.h"

namespace terrace::program {
namespace {

using std::chrono::seconds;

// How long a client may send nothing in the middle of an upload.
constexpr std::chrono::minutes kUploadPause{5};
constexpr std::chrono::milliseconds kRemovalPause{50};
constexpr std::chrono::milliseconds kDrainPause{50};
constexpr size_t kUploadBlock = 256 << 10;
constexpr size_t kSiteBytesMax = 1 << 20;
constexpr std::chrono::minutes kFilesLimit{30};
// As the app's user, whose umask for jobs the worker can read by; nothing in the archive
// leads out of the folder it is in.
constexpr const char* kUnpack =
    "exec tar --extract --file=- --no-same-owner --no-same-permissions --no-overwrite-dir";
// Folders that their own maker may not write (a module cache) are no reason to stay.
constexpr const char* kRemove = "chmod -R u+rwX . ; exec find . -mindepth 1 -delete";
// On the disk before releases.json says so: after a power cut the release that serves is whole.
constexpr const char* kMeasure = "sync --file-system . ; exec du --summarize --block-size=1 .";

// A channel whose far end becomes the standard input of a job.
Result<std::pair<Descriptor, Descriptor>> make_input() {
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) return fail_system("socketpair");
  if (::fcntl(ends[0], F_SETFL, O_NONBLOCK) != 0) return fail_system("fcntl");
  return std::pair(Descriptor(ends[0]), Descriptor(ends[1]));
}

// What tar says last says only that it said something before.
std::string complaint_of(const JobResult& tar) {
  const auto is_one = [](const std::string& line) { return !line.starts_with("tar: Exiting"); };
  const auto last = std::find_if(tar.last_lines.rbegin(), tar.last_lines.rend(), is_one);
  return last == tar.last_lines.rend() ? tar.how : *last;
}

bool is_folder(const std::string& path) {
  std::error_code ignored;
  return std::filesystem::is_directory(path, ignored);
}

// As the rules of the site file have it.
std::string unusable_error_page(const topology::Site& site) {
  for (const topology::Named& page : site.web.errors) {
    const std::string written = site.files_written + "/" + page.value;
    struct stat about{};
    if (::stat((site.web.files + "/" + page.value).c_str(), &about) != 0 || !S_ISREG(about.st_mode))
      return fmt::format("the release has no file `{}`, which [web] errors names", written);
    if (about.st_size > topology::kErrorPageBytesMax)
      return fmt::format("`{}`, which [web] errors names, is larger than 1 MiB", written);
  }
  return "";
}

bool is_below(const std::string& path, const std::string& folder) {
  return path == folder || path.starts_with(folder + "/");
}

// A site file that came with the release, which may be anything: no link is followed.
std::string site_file_in(const std::string& folder) {
  const Descriptor file(
      ::open((folder + "/site.toml").c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK | O_NOFOLLOW));
  struct stat about{};
  if (!file || ::fstat(file.get(), &about) != 0 || !S_ISREG(about.st_mode) ||
      about.st_size > off_t{kSiteBytesMax})
    return "";
  std::string text(static_cast<size_t>(about.st_size), '\0');
  const ssize_t n = ::pread(file.get(), text.data(), text.size(), 0);
  text.resize(static_cast<size_t>(std::max<ssize_t>(n, 0)));
  return text;
}

// Both as they are written: what `${…}` stand for is nobody's business here.
std::vector<std::string> app_and_web_difference(const std::string& ours, const std::string& theirs,
                                                const std::string& path) {
  topology::LoadOptions options;
  options.look_at_folders = false;
  options.resolve = [](std::string_view) { return false; };
  const topology::LoadedSite before = topology::load_site_text(ours, path, options);
  const topology::LoadedSite after = topology::load_site_text(theirs, path, options);
  if (!after.site) return {"it has mistakes: `terrace check` shows them"};
  std::vector<std::string> lines;
  if (before.site) lines = topology::difference(*before.site, *after.site);
  std::erase_if(lines,
                [](const std::string& line) { return !line.starts_with("app") && !line.starts_with("web"); });
  return lines;
}

}  // namespace

ReleaseFile Controller::release_file() const { return ReleaseFile(folders_.state); }

bool Controller::awaits_release() const {
  return program::awaits_release(std::string(welcome_.site_path.view()), releases_);
}

// Requests for it are answered that it does not run: a release may change that.
bool Controller::runs_without_app() const { return releases_.current() == 0 && !migrate_problem_.empty(); }

void Controller::load_releases() {
  Result<ReleaseTable> table = release_file().load();
  releases_readable_ = table.has_value();
  release_known_ = table.has_value();
  if (!table) {
    log_.error("releases.json cannot be read: no release can be made or chosen",
               {{"folder", folders_.state}, {"error", describe(table.error())}});
    return;
  }
  releases_ = std::move(*table);
  if (!releases_.give_up_unfinished()) return;
  log_.warning("a deploy did not come to its end; the release before serves",
               {{"serving", static_cast<int64_t>(releases_.current())}});
  if (const Result<void> saved = release_file().save(releases_); !saved)
    log_.error("releases.json could not be written", {{"error", describe(saved.error())}});
}

// To go on without the table would be to serve the site file's folder, an old version of
// the site perhaps, and to run its `migrate`.
std::string Controller::releases_problem() const {
  const Result<ReleaseTable> table = release_file().load();
  if (!table && table.error().system == EACCES) {
    return fmt::format(
        "error: Terrace's own user cannot enter {}\n"
        "  = move the site to where every user may look, such as /srv, or open the folders above it\n",
        folders_.state);
  }
  return fmt::format(
      "error: {}/releases.json cannot be read\n"
      "  = it says which release serves; put a copy of it back, or remove it: then the site runs from the\n"
      "    folder of its file until the next deploy\n",
      folders_.state);
}

// ---- folders

void Controller::handle_release_folder(const ReleaseFolder& record) {
  release_answers_[record.number] = record;
  release_answered_.set();
}

Task<std::string> Controller::make_release(uint32_t number) {
  MakeRelease record{.number = number};
  (void)record.user.set(site_->app.user);
  tell_supervisor(record);
  const std::string problem = co_await wait_for_release(number);
  co_return problem.empty() ? "" : "cannot make the folder of the release: " + problem;
}

Task<std::string> Controller::wait_for_release(uint32_t number) {
  while (!release_answers_.contains(number)) {
    release_answered_.reset();
    co_await release_answered_.wait();
  }
  const ReleaseFolder answer = release_answers_.extract(number).mapped();
  co_return answer.failed != 0 ? std::string(answer.error.view()) : "";
}

JobPlan Controller::job_in(const std::string& folder, const std::string& name, uint32_t number) const {
  JobPlan plan;
  plan.name = fmt::format("{}-{}", name, number);
  plan.folder = folder;
  plan.environment = job_environment();
  return plan;
}

std::vector<topology::Named> Controller::job_environment() const {
  const EnvironmentOptions options{
      .root = welcome_.privileged != 0, .state_folder = folders_.state, .own = ::getenv};
  return instance_environment(*site_, {}, options);
}

// Instances of it have requests in flight, for as long as an instance may drain.
bool Controller::serves_still(uint32_t number) const {
  const uint64_t recipe = recipe_of(topology::at_root(*site_, release_folder(folders_.state, number)));
  return std::ranges::any_of(lifecycle_.slots(), [recipe](const app::Lifecycle::Slot& place) {
    return std::ranges::any_of(place.retiring, [recipe](const app::Member& member) {
      return member.recipe == recipe && member.phase == app::MemberPhase::kDraining;
    });
  });
}

// Everything up to `last` that is no ready release: what was given up, what a killed
// deploy left, what is beyond the limit.
Task<void> Controller::remove_unneeded_releases(uint32_t last) {
  // Of a start and of a deploy: one after the other.
  while (removing_) co_await sleep(reactor_, kRemovalPause);
  removing_ = true;
  for (const uint32_t number : release_folders(folders_.state)) {
    const Release* release = releases_.find(number);
    if (number > last || (release != nullptr && release->state == ReleaseState::kReady)) continue;
    JobPlan plan = job_in(release_folder(folders_.state, number), "remove", number);
    plan.command = kRemove;
    plan.as_owner = true;
    // No secret for a user who may have nothing to do with the site any more.
    std::erase_if(plan.environment, [](const topology::Named& each) { return each.name != "PATH"; });
    plan.limit = kFilesLimit;
    // A release that was worse finishes its requests with its files.
    while (!stopping_ && serves_still(number)) co_await sleep(reactor_, kDrainPause);
    if (stopping_) break;
    const JobResult emptied = co_await jobs_.run(site_, std::move(plan), {});
    tell_supervisor(RemoveRelease{.number = number});
    const std::string problem = co_await wait_for_release(number);
    if (!problem.empty())
      log_.warning("the rest of a release stays until the next deploy",
                   {{"release", static_cast<int64_t>(number)}, {"error", problem}, {"job", emptied.how}});
  }
  removing_ = false;
}

Task<void> Controller::clean_up_releases() {
  const uint32_t last = releases_.last;
  while (!site_) co_await sleep(reactor_, seconds(1));
  if (releases_readable_) co_await remove_unneeded_releases(last);
}

// ---- upload

Task<void> Controller::run_beside(std::shared_ptr<BesideJob> beside, JobPlan plan, JobLine on_line) {
  beside->result = co_await jobs_.run(site_, std::move(plan), std::move(on_line));
  beside->ended.set();
}

Task<std::string> Controller::unpack_release(Deploy& deploy) {
  const std::string problem = co_await make_release(deploy.number);
  if (!problem.empty()) co_return problem;
  Result<std::pair<Descriptor, Descriptor>> input = make_input();
  if (!input) co_return describe(input.error());
  net::Stream sink;
  if (const Result<void> opened = sink.open(reactor_, std::move(input->first)); !opened)
    co_return describe(opened.error());
  JobPlan plan = job_in(release_folder(folders_.state, deploy.number), "unpack", deploy.number);
  const std::string name = plan.name;
  plan.command = kUnpack;
  plan.input = std::move(input->second);
  auto tar = std::make_shared<BesideJob>(reactor_);
  scope_.spawn(run_beside(tar, std::move(plan),
                          [&deploy](std::string_view line) { deploy.talk.progress(deploy.phase, line); }));
  deploy.talk.say(fmt::format(R"({{"ready":true,"release":{}}})", deploy.number));
  const std::string cut = co_await receive_upload(deploy, sink);
  if (!cut.empty()) jobs_.cancel(name);
  sink.close();
  co_await tar->ended.wait();
  if (!cut.empty()) co_return cut;
  deploy.last_lines = tar->result.last_lines;
  co_return tar->result.success ? "" : "the archive could not be unpacked: " + complaint_of(tar->result);
}

// What comes goes to `sink` until the upload is complete. When `sink` takes no more, its
// reader has ended, and knows why.
Task<std::string> Controller::receive_upload(Deploy& deploy, net::Stream& sink) {
  UploadFrames frames;
  std::vector<char> block(kUploadBlock);
  std::string unread = deploy.talk.take_unread();
  net::Stream& client = deploy.talk.stream();
  while (!frames.complete()) {
    std::string_view came = unread;
    if (unread.empty()) {
      const Result<size_t> read = client.read_now(block);
      if (!read && read.error().code == Code::kWouldBlock) {
        const Result<void> readable = co_await client.readable(reactor_.now() + kUploadPause);
        if (!readable) co_return "the upload stood still: " + describe(readable.error());
        continue;
      }
      if (!read || *read == 0) co_return "the upload was cut off";
      came = std::string_view(block.data(), *read);
    }
    const Result<std::vector<std::string_view>> contents = frames.add(came);
    if (!contents) co_return "the upload cannot be read: " + describe(contents.error());
    for (const std::string_view part : *contents) {
      const Result<void> written = co_await sink.write_all(part, kUploadPause);
      if (!written) co_return "";
    }
    unread.clear();
  }
  co_return "";
}

// ---- what is done to the files

// The site's own folder was written to until its last instance had its last request.
Task<void> Controller::link_late_writes(Deploy& deploy) {
  const auto drains = [](const app::Lifecycle::Slot& place) {
    return place.standby && place.standby->phase == app::MemberPhase::kDraining;
  };
  while (!stopping_ && std::ranges::any_of(lifecycle_.slots(), drains)) co_await sleep(reactor_, kDrainPause);
  if (stopping_) co_return;
  const topology::AppTable& app = deploy.site->app;
  JobPlan plan = job_in(app.folder, "link", deploy.number);
  plan.arguments = {"job-late-writes", deploy.linked_from, folders_.state + "/writable"};
  plan.arguments.insert(plan.arguments.end(), app.writable.begin(), app.writable.end());
  const JobResult linked = co_await jobs_.run(deploy.site, std::move(plan), {});
  if (!linked.success)
    log_.warning("what was written to [app] writable during the deploy is in the site's folder only",
                 {{"folder", deploy.linked_from}, {"job", linked.how}});
}

Task<std::string> Controller::prepare_release(Deploy& deploy) {
  const std::string folder = release_folder(folders_.state, deploy.number);
  deploy.site = std::make_shared<const topology::Site>(topology::at_root(*site_, folder));
  const topology::AppTable& app = deploy.site->app;
  if (!app.run.empty() && !is_below(app.folder, folder))
    co_return fmt::format("[app] folder is {}: make it relative, so that it can move with the release",
                          app.folder);
  if (!is_folder(app.folder))
    co_return fmt::format("the release has no folder `{}`", deploy.site->folder_written);
  note_site_file(deploy, folder);
  if (app.writable.empty() && deploy.site->db.link.empty()) co_return "";
  if (releases_.current() == 0) deploy.linked_from = site_->app.folder;
  JobPlan plan = job_in(app.folder, "link", deploy.number);
  plan.arguments = {
      "job-link",           app.folder,
      deploy.linked_from,   folders_.state + "/writable",
      deploy.site->db.link, database::sqlite_path(folders_.state + "/database", site_->site.name)};
  plan.arguments.insert(plan.arguments.end(), app.writable.begin(), app.writable.end());
  const std::string problem =
      co_await run_phase_job(deploy, std::move(plan), "linking what [app] writable names");
  co_return problem;
}

void Controller::note_site_file(Deploy& deploy, const std::string& folder) {
  const std::string text = site_file_in(folder);
  if (text.empty()) return;
  const std::vector<std::string> lines =
      app_and_web_difference(site_text_, text, std::string(welcome_.site_path.view()));
  if (lines.empty()) return;
  deploy.talk.progress(deploy.phase,
                       fmt::format("note: the release's site.toml is not used, {} is; they differ:",
                                   welcome_.site_path.view()));
  for (const std::string& line : lines) deploy.talk.progress(deploy.phase, "  " + line);
}

Task<std::string> Controller::run_phase_job(Deploy& deploy, JobPlan plan, std::string what) {
  if (deploy.cancelled || stopping_) co_return "it was called off";
  deploy.talk.progress(deploy.phase, "");
  deploy.job = plan.name;
  const JobResult result = co_await jobs_.run(deploy.site, std::move(plan), [&deploy](std::string_view line) {
    deploy.talk.progress(deploy.phase, line);
  });
  deploy.job.clear();
  if (result.success) co_return "";
  deploy.last_lines = result.last_lines;
  co_return fmt::format("{} ended with {}", what, result.how);
}

Task<std::string> Controller::build_release(Deploy& deploy) {
  const topology::AppTable& app = deploy.site->app;
  if (!app.build.empty()) {
    JobPlan plan = job_in(app.folder, "build", deploy.number);
    plan.command = app.build;
    plan.limit = app.build_timeout;
    const std::string problem =
        co_await run_phase_job(deploy, std::move(plan), fmt::format("`{}`", app.build));
    if (!problem.empty()) co_return problem;
  }
  const std::string problem = co_await measure_release(deploy);
  co_return problem;
}

Task<std::string> Controller::measure_release(Deploy& deploy) {
  JobPlan measure = job_in(release_folder(folders_.state, deploy.number), "measure", deploy.number);
  measure.command = kMeasure;
  measure.limit = kFilesLimit;
  const JobResult measured = co_await jobs_.run(deploy.site, std::move(measure), {});
  if (measured.success && !measured.last_lines.empty()) {
    const std::string& line = measured.last_lines.back();
    std::from_chars(line.data(), line.data() + line.size(), deploy.bytes);
  }
  co_return what_is_missing(*deploy.site);
}

// Why the site file would be refused with this release, at its next start at the latest.
std::string Controller::what_is_missing(const topology::Site& site) const {
  const bool has_files = !site.web.files.empty();
  if (has_files && !is_folder(site.web.files))
    return fmt::format("the release has no folder `{}`, which [web] files names", site.files_written);
  // The worker has our user and groups.
  if (has_files && ::access(site.web.files.c_str(), R_OK | X_OK) != 0)
    return fmt::format(
        "the web server's user may not read `{0}`, which [web] files names: chmod -R go+rX {0}",
        site.files_written);
  if (!site.app.run.empty() && !is_folder(site.app.folder))
    return fmt::format("the release has no folder `{}`, which [app] folder names", site.folder_written);
  return has_files ? unusable_error_page(site) : "";
}

// Its instances could not enter its folder.
std::string Controller::other_owner(uint32_t number) const {
  struct stat wanted{};
  struct stat now{};
  const bool known = ::stat(release_folder(folders_.state, number).c_str(), &wanted) == 0 &&
                     ::stat(release_folder(folders_.state, releases_.current()).c_str(), &now) == 0;
  if (!known || site_->app.run.empty() || wanted.st_uid == now.st_uid) return "";
  return fmt::format(
      "release {} belongs to the user {}, release {} to {}: [app] user was changed between them; "
      "deploy that version again",
      number, wanted.st_uid, releases_.current(), now.st_uid);
}

Task<std::string> Controller::migrate_release(Deploy& deploy) {
  const topology::AppTable& app = deploy.site->app;
  if (app.migrate.empty()) co_return "";
  JobPlan plan = job_in(app.folder, "migrate", deploy.number);
  plan.command = app.migrate;
  plan.limit = app.migrate_timeout;
  const std::string problem =
      co_await run_phase_job(deploy, std::move(plan), fmt::format("`{}`", app.migrate));
  co_return problem;
}

// Without a release the site runs from the folder of its file, and nobody else migrates.
Task<void> Controller::migrate_first() {
  JobPlan plan = job_in(site_->app.folder, "migrate", 0);
  const std::string command = site_->app.migrate;
  plan.command = command;
  plan.limit = site_->app.migrate_timeout;
  const JobResult result = co_await jobs_.run(site_, std::move(plan), {});
  first_migration_ = false;
  migrated_ = result.success;
  if (stopping_) co_return;
  migrate_problem_ = result.success ? "" : fmt::format("`{}` ended with {}", command, result.how);
  if (result.success) {
    configure_app();
  } else {
    say_first_migration_failed(result);
    // All but the application: a server must be there to receive the release that mends it.
    topology::Site bare = *site_;
    bare.app = {};
    lifecycle_.configure(plan_of(bare), reactor_.now());
  }
  settle();
}

// Whoever waits at a terminal for `terrace up` reads it there.
void Controller::say_first_migration_failed(const JobResult& result) {
  std::string said = fmt::format(
      "terrace: {}: the application does not start\n"
      "  = mend it, then `terrace reload` tries again; or deploy a release\n",
      migrate_problem_);
  for (const std::string& line : result.last_lines) said += "  " + line + "\n";
  std::fputs(said.c_str(), stderr);
  log_.error("the application does not start", {{"why", migrate_problem_}});
}

}  // namespace terrace::program
