// `terrace up --detach`: the site goes on without the terminal. On a server with
// systemd it is the unit's, which starts it again after a reboot; elsewhere a process
// of this machine until it is switched off.

#include <fcntl.h>
#include <fmt/format.h>
#include <spawn.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <string>
#include <thread>
#include <vector>

#include "base/file.h"
#include "program/announcement.h"
#include "program/commands.h"
#include "program/control_client.h"
#include "program/output.h"
#include "program/site_path.h"
#include "program/status.h"

namespace terrace::program {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using Clock = std::chrono::steady_clock;

constexpr const char* kSystemdRuns = "/run/systemd/system";  // sd_booted(3)
constexpr const char* kUnitFiles[] = {"/lib/systemd/system/terrace.service",
                                      "/etc/systemd/system/terrace.service"};
constexpr size_t kSiteBytesMax = 1 << 20;
constexpr seconds kStartTimeout{90};
constexpr milliseconds kPause{100};

bool is_there(const char* path) { return ::access(path, F_OK) == 0; }

bool has_unit() {
  return ::geteuid() == 0 && is_there(kSystemdRuns) && (is_there(kUnitFiles[0]) || is_there(kUnitFiles[1]));
}

bool run_systemctl(std::vector<std::string> words) {
  words.insert(words.begin(), "systemctl");
  std::vector<char*> arguments;
  for (std::string& word : words) arguments.push_back(word.data());
  arguments.push_back(nullptr);
  pid_t pid = 0;
  if (::posix_spawnp(&pid, "systemctl", nullptr, nullptr, arguments.data(), environ) != 0) return false;
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) continue;
  return status == 0;
}

// The status once somebody answers and, with `serving`, once requests are.
std::optional<SiteStatus> wait_for_status(const std::string& site, bool serving) {
  const auto deadline = Clock::now() + kStartTimeout;
  while (Clock::now() < deadline) {
    const Result<std::string> answer =
        ask_controller(find_control_socket(site), R"({"command":"status"})", seconds(5));
    const std::optional<SiteStatus> status = answer ? parse_status(*answer) : std::nullopt;
    if (status && (!serving || status->state == "serving")) return status;
    std::this_thread::sleep_for(kPause);
  }
  return std::nullopt;
}

int say_where(const std::string& site) {
  const std::optional<SiteStatus> status = wait_for_status(site, true);
  if (!status)
    return complain("the site does not serve yet: see `terrace status` and `terrace logs --terrace`", false,
                    kExitFailure);
  Announcement announcement{.log_folder = find_folders(site).log};
  for (const ListenerStatus& listener : status->listeners) {
    if (listener.purpose == "web" && !listener.bound.empty()) announcement.web.push_back(listener.bound);
    if (listener.purpose == "admin") announcement.admin = listener.bound;
  }
  print(announcement_text(announcement));
  return kExitFine;
}

// ---- with systemd

// What the folder's file says becomes the server's, unless the server has one.
Result<void> install_site_file(const std::string& site) {
  if (is_there(kSystemSiteFile)) {
    print(fmt::format("{} is there already and holds\n", kSystemSiteFile));
    return {};
  }
  const Result<std::string> text = read_file(site, kSiteBytesMax);
  if (!text) return std::unexpected(text.error());
  struct stat about{};
  if (::stat(site.c_str(), &about) != 0) return fail_system("stat");
  if (Result<void> made = make_folders("/etc/terrace"); !made) return made;
  if (Result<void> written = write_file(kSystemSiteFile, *text, about.st_mode & 0644); !written)
    return written;
  print(fmt::format("{} is made from {}\n", kSystemSiteFile, site));
  return {};
}

int start_unit(const std::string& site) {
  const bool of_project = site != kSystemSiteFile;
  if (of_project) {
    if (const Result<void> installed = install_site_file(site); !installed)
      return complain(fmt::format("cannot make {}: {}", kSystemSiteFile, describe(installed.error())), false,
                      kExitFailure);
  }
  if (!run_systemctl({"enable", "--quiet", "--now", "terrace.service"}))
    return complain("the unit does not start: see `systemctl status terrace`", false, kExitFailure);
  if (!wait_for_status(kSystemSiteFile, false))
    return complain("nobody answers yet: see `journalctl -u terrace`", false, kExitFailure);
  if (of_project) {
    CommandLine deploy{.command = Command::kDeploy, .file = kSystemSiteFile};
    deploy.what = site.substr(0, site.rfind('/'));
    if (const int status = run_deploy(deploy); status != kExitFine) return status;
  }
  print("it starts again when this machine does: systemctl status terrace\n");
  return say_where(kSystemSiteFile);
}

// ---- without

// Forks; the child is a session of its own whose output nobody has to read. Returns
// in the parent only.
bool leave_terminal(const std::string& site, const std::string& server) {
  const pid_t pid = ::fork();
  if (pid != 0) return pid > 0;
  ::setsid();
  const int nothing = ::open("/dev/null", O_RDWR);
  for (const int fd : {0, 1, 2}) ::dup2(nothing, fd);
  std::vector<const char*> words{"terrace", "up", "--file", site.c_str()};
  if (!server.empty()) words.insert(words.end(), {"--server", server.c_str()});
  words.push_back(nullptr);
  ::execv("/proc/self/exe", const_cast<char* const*>(words.data()));
  ::_exit(kExitFailure);
}

}  // namespace

int run_up_detached(const std::string& site, const std::string& server) {
  if (has_unit() && !server.empty())
    return complain(
        "with systemd a server is known by its address, or by the name that it joined with: "
        "leave `--server` out",
        false, kExitFailure);
  if (has_unit()) return start_unit(site);
  const Result<std::string> there =
      ask_controller(find_control_socket(site), R"({"command":"status"})", seconds(5));
  if (there) return complain("the site runs already: see `terrace status`", false, kExitFailure);
  if (!leave_terminal(site, server))
    return complain(describe(fail_system("fork").error()), false, kExitFailure);
  const int status = say_where(site);
  if (status == kExitFine)
    print("  stop       kill $(cat " + find_folders(site).run +
          "/terrace.pid); nothing starts it after a reboot\n");
  return status;
}

}  // namespace terrace::program
