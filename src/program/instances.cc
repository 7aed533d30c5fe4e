#include "program/instances.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>

#include "database/sqlite.h"
#include "program/writable.h"

namespace terrace::program {
namespace {

constexpr uint32_t kPortMin = 1024;
constexpr uint32_t kPortMax = 65'535;
constexpr size_t kNotesMax = 256;
constexpr gid_t kNoGroup = 65'534;  // of nobody's files

std::unexpected<Error> refuse(const char* text) { return fail(Code::kInvalid, "instance refused", text); }

// A word that can be the name of a folder.
bool plain_word(std::string_view word) {
  constexpr std::string_view kLetters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_";
  return !word.empty() && word.find_first_not_of(kLetters) == std::string_view::npos;
}

// "app-1", "build-7"
std::string title_of(const StartInstance& record) {
  if (!record.job.view().empty()) return std::string(record.job.view());
  return fmt::format("app-{}", record.slot + 1);
}

// A file directly in `folder`.
bool directly_in(std::string_view path, const std::string& folder) {
  if (!path.starts_with(folder + "/")) return false;
  const std::string_view name = path.substr(folder.size() + 1);
  return !name.empty() && name.find('/') == std::string_view::npos && name != "." && name != "..";
}

std::string socket_folder(const Folders& folders) { return folders.run + "/app"; }

// The app binds its socket here and the worker connects: the folder and what is
// made in it belong to the worker's group (the set-group-id bit, inode(7)).
Result<void> prepare_socket_folder(const std::string& path, const User& app, const User& own) {
  if (::mkdir(path.c_str(), 0700) != 0 && errno != EEXIST) return fail_system("mkdir");
  const Descriptor folder(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!folder) return fail_system("open");
  if (::fchown(folder.get(), app.uid, own.gid) != 0) return fail_system("chown");
  if (::fchmod(folder.get(), 02770) != 0) return fail_system("chmod");
  return {};
}

// The texts of a block in which each ends with a zero.
std::vector<std::string> texts_of(std::string_view rest) {
  std::vector<std::string> variables;
  while (!rest.empty()) {
    const size_t end = std::min(rest.find('\0'), rest.size());
    variables.emplace_back(rest.substr(0, end));
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  return variables;
}

void add_unless_set(std::vector<std::string>& variables, const std::string& name, const std::string& value) {
  const std::string prefix = name + "=";
  const auto is_it = [&](const std::string& each) { return each.starts_with(prefix); };
  if (std::ranges::none_of(variables, is_it)) variables.push_back(prefix + value);
}

std::vector<std::string> arguments_of(const StartInstance& record) {
  std::vector<std::string> arguments;
  std::string_view rest = record.command.view();
  while (!rest.empty()) {
    const size_t end = std::min(rest.find(kArgumentEnd), rest.size());
    arguments.emplace_back(rest.substr(0, end));
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  return arguments;
}

bool is_job(uint32_t slot) { return slot >= kSlotsMax; }

bool is_folder(const std::string& path) {
  struct stat about{};
  return ::stat(path.c_str(), &about) == 0 && S_ISDIR(about.st_mode);
}

int64_t monotonic_ns() { return std::chrono::steady_clock::now().time_since_epoch().count(); }

}  // namespace

Instances::~Instances() {
  clean_up();
  if (cgroups_) cgroups_->remove();
  passwords_.remove_folder();
}

Instances::Running* Instances::find(uint32_t slot, uint32_t generation) {
  for (const auto& each : running_) {
    if (each->record.slot == slot && each->record.generation == generation) return each.get();
  }
  return nullptr;
}

Result<User> Instances::check(const StartInstance& record) const {
  if (record.slot >= kSlotsMax + kJobsMax || running_.size() >= kInstancesMax + kJobsMax)
    return refuse("too many instances");
  if (!plain_word(record.site.view())) return refuse("the site's name");
  if (record.command.view().empty()) return refuse("no command");
  if (!record.folder.view().starts_with('/')) return refuse("the folder is not absolute");
  if (record.environment_bytes > record.environment.size()) return refuse("the environment is too long");
  if (record.writable_bytes > record.writable.size()) return refuse("too many writable paths");
  if (record.memory_bytes < 0) return refuse("the memory limit");
  if (is_job(record.slot) != !record.job.view().empty()) return refuse("a job needs a name and its own slot");
  if (is_job(record.slot)) {
    if (!plain_word(record.job.view())) return refuse("the job's name");
    if (record.port != 0 || !record.socket.view().empty()) return refuse("a job listens nowhere");
    return user_of(record);
  }
  if (record.own_program != 0) return refuse("an instance is the app's own program");
  if (record.as_owner != 0) return refuse("an instance has the user of the app");
  if (record.port == 0 && !directly_in(record.socket.view(), socket_folder(options_.folders)))
    return refuse("the socket is outside of its folder");
  if (record.port != 0 && (record.port < kPortMin || record.port > kPortMax)) return refuse("the port");
  return user_of(record);
}

Result<User> Instances::user_of(const StartInstance& record) const {
  if (record.as_owner != 0 && options_.root) return owner_of_release(record);
  return permitted_app_user(std::string(record.user.view()), options_.own, options_.app);
}

// Whoever `[app] user` named when the release was made: only the folder, which root gave
// away itself, knows it by now.
Result<User> Instances::owner_of_release(const StartInstance& record) const {
  const std::string folder(record.folder.view());
  if (!directly_in(folder, options_.folders.state + "/releases")) return refuse("no folder of a release");
  struct stat about{};
  if (::lstat(folder.c_str(), &about) != 0) return fail_system("release");
  if (!S_ISDIR(about.st_mode) || about.st_uid == 0 || about.st_uid == options_.own.uid)
    return refuse("no user of an app owns the release");
  return User{
      .name = std::to_string(about.st_uid), .uid = about.st_uid, .gid = kNoGroup, .home = "/", .groups = {}};
}

Result<void> Instances::prepare_folders(const User& user) {
  for (const char* name : {"/database", "/backups", "/home"}) {
    const std::string path = options_.folders.state + name;
    if (Result<void> done = database::prepare_folder(path, user.uid, user.gid); !done) return done;
  }
  return prepare_socket_folder(socket_folder(options_.folders), user, options_.own);
}

// A release has links instead, and our own program writes elsewhere.
void Instances::prepare_writable(const StartInstance& record, const User& user) {
  const bool listed = record.writable_bytes > 0 || !record.database_link.view().empty();
  if (!listed || record.own_program != 0 || record.folder.view().starts_with(options_.folders.state + "/"))
    return;
  const std::string folder = options_.folders.state + "/database";
  const Result<std::vector<std::string>> said =
      make_writable({.folder = std::string(record.folder.view()),
                     .writable = texts_of({record.writable.data(), record.writable_bytes}),
                     .database_link = std::string(record.database_link.view()),
                     .database = database::sqlite_path(folder, record.site.view()),
                     .change_owner = options_.root,
                     .user = user,
                     .within = options_.site_folder});
  if (!said) return;  // the start fails at the same folder, and is told
  for (const std::string& note : *said) {
    if (noted_.size() < kNotesMax && noted_.insert(note).second) notes_.push_back(note);
  }
}

Result<Cgroup> Instances::make_group(const StartInstance& record) {
  if (!cgroups_) cgroups_ = Cgroups::find(record.site.view());
  return cgroups_->make(fmt::format("{}.{}", title_of(record), record.generation), record.memory_bytes,
                        record.processes);
}

InstancePlan Instances::plan_of(const StartInstance& record, const User& user) const {
  InstancePlan plan;
  plan.title = "terrace: " + title_of(record);
  if (record.own_program != 0) {
    plan.arguments = arguments_of(record);
    plan.program = options_.program;
  } else {
    plan.command = record.command.view();
  }
  plan.folder = record.folder.view();
  plan.environment = texts_of({record.environment.data(), record.environment_bytes});
  add_unless_set(plan.environment, "HOME",
                 is_folder(user.home) && user.home != "/" ? user.home : options_.folders.state + "/home");
  add_unless_set(plan.environment, "USER", user.name);
  add_unless_set(plan.environment, "LOGNAME", user.name);
  plan.user = user;
  plan.change_user = options_.root;
  plan.descriptors = options_.descriptors;
  // The socket's group must be able to connect, which takes the right to write.
  if (record.port == 0) plan.umask = 007;
  // What a job makes the worker may have to read; the folder around it keeps others out.
  if (is_job(record.slot)) plan.umask = 022;
  if (cgroups_->kind() == Limits::kRlimit) {
    plan.memory_bytes = record.memory_bytes;
    plan.processes = record.processes;
  }
  return plan;
}

Result<void> Instances::add_password(const StartInstance& record, const User& user, InstancePlan& plan) {
  const bool needs_none = record.own_program != 0 || record.as_owner != 0;
  if (record.database_password.view().empty() || needs_none) return {};
  const auto runs = [this](uint32_t slot, uint32_t generation) {
    const Running* running = find(slot, generation);
    return running != nullptr && !running->ended;
  };
  const Result<std::string> path =
      passwords_.write(record.slot, record.generation, record.database_password.view(), user, runs);
  if (!path) return std::unexpected(path.error());
  plan.environment.push_back("DB_PASSWORD_FILE=" + *path);
  return {};
}

Result<const Instances::Running*> Instances::start(const StartInstance& record, int input) {
  const Result<User> user = check(record);
  if (!user) return std::unexpected(user.error());
  if (find(record.slot, record.generation) != nullptr) return refuse("it runs already");
  if (record.as_owner == 0) {
    if (const Result<void> done = prepare_folders(*user); !done) return std::unexpected(done.error());
    prepare_writable(record, *user);
  }
  Result<Cgroup> group = make_group(record);
  if (!group) return std::unexpected(group.error());
  // A killed supervisor leaves the sockets of its instances behind.
  if (!record.socket.view().empty()) ::unlink(std::string(record.socket.view()).c_str());
  InstancePlan plan = plan_of(record, *user);
  if (const Result<void> done = add_password(record, *user, plan); !done) {
    left_groups_.push_back(std::move(*group));
    return std::unexpected(done.error());
  }
  plan.input = input;
  plan.group = &*group;
  Result<StartedInstance> started = start_instance(plan, options_.isolation);
  if (!started) {
    passwords_.remove(record.slot, record.generation);
    left_groups_.push_back(std::move(*group));
    return std::unexpected(started.error());
  }
  auto running = std::make_unique<Running>();
  running->record = {.slot = record.slot,
                     .generation = record.generation,
                     .pid = started->pid,
                     .isolation = options_.isolation,
                     .limits = cgroups_->kind(),
                     .started_ns = monotonic_ns(),
                     .port = record.port,
                     .socket = record.socket};
  running->started = std::move(*started);
  running->group = std::move(*group);
  running->grace = std::chrono::milliseconds(record.grace_ms);
  running_.push_back(std::move(running));
  return running_.back().get();
}

void Instances::signal(uint32_t slot, uint32_t generation, int signal) {
  const Running* running = find(slot, generation);
  if (running == nullptr || running->ended || (signal != SIGTERM && signal != SIGKILL)) return;
  signal_instance(running->record.pid, running->record.isolation, signal);
}

void Instances::tag(const TagInstance& record) {
  if (Running* running = find(record.slot, record.generation)) running->record.tag = record.tag;
}

Instances::Running* Instances::ended(pid_t pid, int status) {
  for (const auto& each : running_) {
    if (each->record.pid != pid || each->ended) continue;
    const InstanceEnd end = read_end(each->started, status);
    InstanceEnded record{.slot = each->record.slot, .generation = each->record.generation};
    record.status = end.status;
    (void)record.error.set(end.error);
    record.out_of_memory = each->group.out_of_memory() ? 1 : 0;
    each->ended = record;
    passwords_.remove(each->record.slot, each->record.generation);
    if (!each->record.socket.view().empty()) ::unlink(std::string(each->record.socket.view()).c_str());
    if (!each->group.remove()) left_groups_.push_back(std::move(each->group));
    return each.get();
  }
  return nullptr;
}

void Instances::forget(const Running& running) {
  std::erase_if(running_, [&](const auto& each) { return each.get() == &running; });
}

void Instances::terminate_all(Time now) {
  for (const auto& each : running_) {
    if (each->ended) continue;
    signal_instance(each->record.pid, each->record.isolation, SIGTERM);
    each->kill_at = now + each->grace;
  }
}

void Instances::kill_overdue(Time now) {
  for (const auto& each : running_) {
    if (each->ended || !each->kill_at || *each->kill_at > now) continue;
    signal_instance(each->record.pid, each->record.isolation, SIGKILL);
    each->kill_at.reset();
  }
}

void Instances::kill_all() {
  for (const auto& each : running_) {
    if (!each->ended) signal_instance(each->record.pid, each->record.isolation, SIGKILL);
  }
}

void Instances::end_jobs() {
  for (const auto& each : running_) {
    if (!is_job(each->record.slot)) continue;
    each->orphaned = true;
    if (!each->ended) signal_instance(each->record.pid, each->record.isolation, SIGKILL);
  }
  std::erase_if(running_, [](const auto& each) { return each->orphaned && each->ended; });
}

std::optional<Time> Instances::next_kill() const {
  std::optional<Time> next;
  for (const auto& each : running_) {
    if (!each->ended && each->kill_at && (!next || *each->kill_at < *next)) next = each->kill_at;
  }
  return next;
}

bool Instances::empty() const {
  return std::ranges::all_of(running_, [](const auto& each) { return each->ended.has_value(); });
}

void Instances::clean_up() {
  std::erase_if(left_groups_, [](Cgroup& group) { return group.remove(); });
}

}  // namespace terrace::program
