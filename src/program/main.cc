// `terrace`: reads the command line and calls what it names. The supervisor
// starts this same binary again as `terrace controller` and `terrace worker`, and as
// jobs (job_commands.h).

#include <unistd.h>

#include <cstdio>
#include <optional>
#include <string_view>

#include "program/command_line.h"
#include "program/commands.h"
#include "program/entry.h"
#include "program/job_commands.h"
#include "program/member_identity.h"
#include "program/output.h"
#include "program/own_server.h"
#include "program/process_title.h"
#include "program/releases.h"
#include "program/secrets.h"
#include "program/site_path.h"
#include "program/upgrade_trial.h"
#include "topology/load.h"

namespace terrace::program {
namespace {

std::string own_name(const topology::Site& site, const Folders& folders, const std::string& named) {
  const Result<MemberIdentity> joined = read_member_identity(folders);
  return own_server(site, joined ? joined->server : named, own_addresses()).value_or("");
}

// What the machine has joined as, else what the command line says, else by its addresses.
int find_server(const topology::Site& site, const Folders& folders, const std::string& named,
                std::string& server) {
  const Result<MemberIdentity> joined = read_member_identity(folders);
  if (joined && !named.empty() && named != joined->server)
    return complain("this machine has joined its site as `" + joined->server + "`", false, kExitFailure);
  std::expected<std::string, std::string> own =
      own_server(site, joined ? joined->server : named, own_addresses());
  if (!own) return complain(own.error(), false, kExitFailure);
  server = *std::move(own);
  const bool alone = joined || site.servers.size() < 2;
  const std::string obstacle = alone ? "" : founding_obstacle(site, server, folders);
  return obstacle.empty() ? kExitFine : complain(obstacle, false, kExitFailure);
}

// The controller reads it again and watches over it; here a person still looks on.
int look_at_site(const CommandLine& line, const std::string& site, std::string& server) {
  topology::LoadOptions options;
  const Folders folders = folders_of(site, ::geteuid() == 0);
  options.inputs = inputs_with_files(secrets_folder(folders));
  count_from_release(options, site, folders.state);
  const std::string shown = shown_site(line.file, site);
  const topology::LoadedSite loaded = topology::load_site(shown, options);
  if (loaded.site) return find_server(*loaded.site, folders, line.server, server);
  options.resolve = topology::without_secrets;
  const topology::LoadedSite bare = topology::load_site(shown, options);
  if (bare.site && only_balances(*bare.site, own_name(*bare.site, folders, line.server)))
    return find_server(*bare.site, folders, line.server, server);
  (void)std::fwrite(loaded.text.data(), 1, loaded.text.size(), stderr);
  return loaded.unreadable ? kExitCannotRead : kExitFailure;
}

int run_up(int argc, char** argv, const CommandLine& line) {
  const std::optional<std::string> site = find_site(line.file);
  if (!site) return complain(no_site_text(line.file), false, kExitCannotRead);
  std::string server;
  if (const int status = look_at_site(line, *site, server); status != kExitFine) return status;
  if (line.detach) return run_up_detached(*site, line.server);
  return run_supervisor(argc, argv, {.site_path = *site, .server = server});
}

int run(int argc, char** argv, const CommandLine& line) {
  switch (line.command) {
    case Command::kInit:
      return run_init(line);
    case Command::kUp:
      return run_up(argc, argv, line);
    case Command::kCheck:
      return run_check(line);
    case Command::kStatus:
      return run_status(line);
    case Command::kLogs:
      return run_logs(line);
    case Command::kReload:
      return run_reload(line);
    case Command::kRestart:
      return run_restart(line);
    case Command::kSecret:
      return run_secret(line);
    case Command::kUpgrade:
      return run_upgrade(line);
    case Command::kDeploy:
      return run_deploy(line);
    case Command::kRollback:
      return run_rollback(line);
    case Command::kReleases:
      return run_releases(line);
    case Command::kBackup:
      return run_backup(line);
    case Command::kRestore:
      return run_restore(line);
    case Command::kDns:
      return run_dns(line);
    case Command::kLab:
      own_process_title(argc, argv);
      return run_lab(line);
    case Command::kApply:
      return run_apply(line);
    case Command::kHistory:
      return run_history(line);
    case Command::kToken:
      return run_token(line);
    case Command::kJoin:
      return run_join(line);
    case Command::kRevoke:
      return run_revoke(line);
    case Command::kCertificates:
      return run_certificates(line);
    case Command::kDrain:
    case Command::kUndrain:
      return run_drain(line);
    case Command::kSchema:
      return run_schema(line);
    case Command::kVersion:
      return run_version(line);
  }
  return kExitFailure;
}

int leave(const Leave& leave) {
  print(leave.output);
  (void)std::fwrite(leave.error.data(), 1, leave.error.size(), stderr);
  return leave.status;
}

}  // namespace
}  // namespace terrace::program

int main(int argc, char** argv) {
  using namespace terrace::program;
  const std::string_view process = argc > 1 ? argv[1] : "";
  if (process == "controller") return run_controller(argc, argv);
  if (process == "worker") return run_worker(argc, argv);
  if (process == "member") return run_member(argc, argv);
  if (process == kTakeOver) return run_take_over(argc, argv);
  if (process == "generate") return run_generate(argc, argv);
  const std::span<const char* const> arguments(argv + (argc > 0 ? 1 : 0),
                                               static_cast<size_t>(argc > 0 ? argc - 1 : 0));
  if (const JobCommand job = find_job_command(process)) return job(arguments.subspan(1));
  const auto parsed = parse_command_line(arguments);
  if (const auto* left = std::get_if<Leave>(&parsed)) return leave(*left);
  return run(argc, argv, std::get<CommandLine>(parsed));
}
