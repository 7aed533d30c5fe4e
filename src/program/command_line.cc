#include "program/command_line.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <memory>
#include <sstream>

#include "config/interpolate.h"
#include "config/suggest.h"
#include "lab/folders.h"
#include "program/version.h"

namespace terrace::program {
namespace {

// Commands of later steps: known, so that the answer is not "unknown".
struct Later {
  std::string_view name;
  std::string_view comes_with;
};
constexpr std::array kLater = {
    Later{"firewall", "step 2, secured and monitored"},
    Later{"trust", "step 2, secured and monitored"},
    Later{"switchover", "step 3, scale up"},
    Later{"migrate-database", "step 3, scale up"},
    Later{"drill", "step 3, scale up"},
};

constexpr const char* kAbout =
    "Terrace runs a web site from one file, site.toml: web server, application server and database.\n";

constexpr const char* kFooter =
    "Examples:\n"
    "  terrace init               writes site.toml for the project in this folder\n"
    "  terrace check              is site.toml right? says what is wrong, with line and column\n"
    "  terrace up                 serves the site until Ctrl-C\n"
    "  terrace status --watch     what runs, second by second\n"
    "  terrace logs -f            what the application prints\n"
    "  terrace reload             takes a changed site.toml without dropping a connection\n"
    "\n"
    "Exit status: 0 fine, 1 findings or failure, 2 cannot read.\n"
    "More: terrace COMMAND --help, and terrace schema --manual for the site file.";

constexpr const char* kFileHelp = "The site file; without it ./site.toml, then /etc/terrace/site.toml";
constexpr const char* kJsonHelp = "For programs: JSON on standard output";

void add_file(CLI::App& command, CommandLine& line) {
  command.add_option("--file", line.file, kFileHelp)->type_name("FILE");
}

void add_json(CLI::App& command, CommandLine& line) { command.add_flag("--json", line.json, kJsonHelp); }

CLI::App& add_command(CLI::App& app, CommandLine& line, Command command, const char* name, const char* about,
                      const char* footer) {
  CLI::App* added = app.add_subcommand(name, about);
  added->group("Commands");
  added->footer(footer);
  added->callback([&line, command] { line.command = command; });
  return *added;
}

void add_init(CLI::App& app, CommandLine& line) {
  CLI::App& init =
      add_command(app, line, Command::kInit, "init",
                  "Writes site.toml for a Django, Rails, Flask, Node, C++ or static project",
                  "It looks at the files of the project, runs nothing of it, and says what it decided and\n"
                  "why. A site.toml that is there already is never changed: exit status 1.\n"
                  "\n"
                  "Examples:\n"
                  "  terrace init\n"
                  "  terrace init ~/shop\n"
                  "  terrace init --framework flask");
  init.add_option("FOLDER", line.folder, "The project; without it this folder")->type_name("");
  init.add_option("--framework", line.framework, "Which it is: django, rails, flask, node, cpp or static")
      ->type_name("NAME");
  add_json(init, line);
}

void add_up(CLI::App& app, CommandLine& line) {
  CLI::App& up =
      add_command(app, line, Command::kUp, "up", "Serves the site until Ctrl-C or SIGTERM",
                  "It stays in the foreground. With --detach it does not: on a server with systemd the\n"
                  "site of this folder becomes the server's, is deployed, and starts with the machine\n"
                  "from now on. As root it serves on ports below 1024 and gives the application a user\n"
                  "of its own; as another user it says what is off.\n"
                  "\n"
                  "Examples:\n"
                  "  terrace up\n"
                  "  terrace up --file examples/0-simple/site.toml\n"
                  "  terrace init && sudo terrace up --detach");
  add_file(up, line);
  up.add_option("--server", line.server,
                "Which entry of [servers] this machine is, if its addresses do not tell")
      ->type_name("NAME");
  up.add_flag("--detach", line.detach, "Goes on without the terminal, and with systemd after a reboot");
}

void add_check(CLI::App& app, CommandLine& line) {
  CLI::App& check =
      add_command(app, line, Command::kCheck, "check", "Reads site.toml and says what is wrong with it",
                  "Nothing is started and nothing is changed. All errors of meaning are shown at once.\n"
                  "\n"
                  "Examples:\n"
                  "  terrace check\n"
                  "  terrace check new.toml && cp new.toml site.toml && terrace reload\n"
                  "  terrace check --json | jq '.findings[].message'");
  CLI::Option* bare = check.add_option("FILE", line.file, kFileHelp)->type_name("");
  CLI::Option* named = check.add_option("--file", line.file, "The same")->type_name("FILE");
  check.callback([&line, bare, named] {
    line.command = Command::kCheck;
    if (bare->count() + named->count() > 1) throw CLI::ValidationError("name one file, not two");
  });
  add_json(check, line);
}

void add_status(CLI::App& app, CommandLine& line) {
  CLI::App& status = add_command(
      app, line, Command::kStatus, "status", "Shows what runs: processes, listeners, instances, requests",
      "Exit status 1 when something needs attention: an address that could not be opened, an\n"
      "instance that does not come up, a site that does not serve.\n"
      "\n"
      "Examples:\n"
      "  terrace status\n"
      "  terrace status --watch\n"
      "  terrace status --json | jq '.instances[] | {name, state, restarts}'");
  add_file(status, line);
  add_json(status, line);
  status.add_flag("--watch", line.watch, "Again every second, with the rate of requests");
}

void add_logs(CLI::App& app, CommandLine& line) {
  CLI::App& logs =
      add_command(app, line, Command::kLogs, "logs", "Shows the logs; without a choice, the application's",
                  "Files that were rotated are read too. Several logs at once are shown in the order of\n"
                  "time, told apart by a word before each line.\n"
                  "\n"
                  "Examples:\n"
                  "  terrace logs -f\n"
                  "  terrace logs --instance app-2 --lines 100\n"
                  "  terrace logs --since 10m --level warning --app --terrace\n"
                  "  terrace logs --access -f | jq 'select(.status >= 500)'");
  add_file(logs, line);
  add_json(logs, line);
  logs.add_flag("-f,--follow", line.follow, "Keeps showing new lines, also after the files were rotated");
  logs.add_option("--server", line.server, "Only of this server; without it of all servers of the site")
      ->type_name("NAME");
  logs.add_option("--instance", line.instance, "Only lines of this instance, such as app-1")
      ->type_name("NAME");
  logs.add_option("--release", line.release, "Only lines of this release, such as 7")
      ->type_name("N")
      ->check(CLI::Range(1, 1'000'000'000).description(""));
  logs.add_option("--since", line.since, "All lines from then on: 10m, 2h, 3d ago, or 2026-11-23T10:00 (UTC)")
      ->type_name("TIME");
  logs.add_option("--until", line.until, "Only lines up to then")->type_name("TIME");
  logs.add_option("--level", line.level, "Only lines of this level and above: debug, info, warning, error")
      ->type_name("LEVEL")
      ->check(CLI::IsMember({"debug", "info", "warning", "error"}).description(""));
  logs.add_option("--grep", line.grep, "Only lines with this text in them")->type_name("TEXT");
  logs.add_option("--lines", line.lines, "So many of the newest lines first (20; with --since: all)")
      ->type_name("N")
      ->check(CLI::Range(0, 1'000'000).description(""));
  logs.add_flag("--access", line.log_access, "One line per request");
  logs.add_flag("--app", line.log_app, "What the application prints");
  logs.add_flag("--terrace", line.log_terrace, "What Terrace itself says");
}

void add_reload(CLI::App& app, CommandLine& line) {
  CLI::App& reload = add_command(
      app, line, Command::kReload, "reload", "Takes a changed site.toml without dropping a connection",
      "A file with errors is refused whole: they are shown, the site stays as it is and the\n"
      "exit status is 1. A change of [app] replaces the instances one by one.\n"
      "\n"
      "Examples:\n"
      "  terrace reload\n"
      "  terrace check && terrace reload");
  add_file(reload, line);
  add_json(reload, line);
}

void add_restart(CLI::App& app, CommandLine& line) {
  CLI::App& restart =
      add_command(app, line, Command::kRestart, "restart",
                  "Replaces the application's instances one by one, without a failed request",
                  "Each new instance must be healthy before the old one gets no more requests, finishes\n"
                  "what it has and ends. When a new one does not come up, the old ones stay: exit status 1.\n"
                  "\n"
                  "Examples:\n"
                  "  terrace restart app");
  restart.add_option("WHAT", line.what, "app")
      ->required()
      ->check(CLI::IsMember({"app"}).description(""))
      ->type_name("");
  add_file(restart, line);
  add_json(restart, line);
}

void add_deploy(CLI::App& app, CommandLine& line) {
  CLI::App& deploy = add_command(
      app, line, Command::kDeploy, "deploy", "Makes a release of a folder or a tar archive and lets it serve",
      "The release is unpacked, built and migrated while the one before serves; its instances\n"
      "start beside the old ones, and when all are healthy the site switches over in one step.\n"
      "For the time of `[app] bake` it is compared with the one before: when it is worse, that\n"
      "one serves again. Whatever fails, the release before goes on serving: exit status 1.\n"
      "Ctrl-C before the switch calls it off.\n"
      "\n"
      "Examples:\n"
      "  terrace deploy .\n"
      "  git archive HEAD | ssh server sudo terrace deploy -\n"
      "  terrace deploy - < shop-1.2.tar.gz");
  deploy.add_option("FOLDER", line.what, "The folder (this one), or - for a tar archive on standard input")
      ->type_name("");
  add_file(deploy, line);
  add_json(deploy, line);
}

void add_rollback(CLI::App& app, CommandLine& line) {
  CLI::App& rollback =
      add_command(app, line, Command::kRollback, "rollback", "Lets the release before this one serve again",
                  "Its instances start beside the others, and when all are healthy the site switches over\n"
                  "in one step. The database stays as it is: a rollback migrates nothing.\n"
                  "\n"
                  "Examples:\n"
                  "  terrace rollback");
  add_file(rollback, line);
  add_json(rollback, line);
}

void add_releases(CLI::App& app, CommandLine& line) {
  CLI::App& releases =
      add_command(app, line, Command::kReleases, "releases", "Lists the releases, and which one serves",
                  "The last three are kept, and always the one that serves and the one before it.\n"
                  "\n"
                  "Examples:\n"
                  "  terrace releases\n"
                  "  terrace releases --json | jq .current");
  add_file(releases, line);
  add_json(releases, line);
}

// A secret that was typed where none belongs is not repeated by what refuses it.
void check_secret(CommandLine& line, const std::vector<std::string>& rest) {
  const bool lists = line.what == "list";
  if (!lists && line.what != "set" && line.what != "remove")
    throw CLI::ValidationError("say `set NAME`, `list` or `remove NAME`");
  if (!rest.empty() || (lists && !line.name.empty()))
    throw CLI::ValidationError(line.what == "set"
                                   ? "the value is read from standard input, never from the command line, "
                                     "where every user of this machine and the shell's history would see it"
                                   : "that is one word too many");
  if (!lists && line.name.empty()) throw CLI::ValidationError("the NAME of the secret is missing");
  if (!lists && !config::is_secret_name(line.name))
    throw CLI::ValidationError("a NAME is made of letters, digits and `_`, no digit first, at most 64");
  line.command = Command::kSecret;
}

void add_secret(CLI::App& app, CommandLine& line) {
  CLI::App& secret =
      add_command(app, line, Command::kSecret, "secret",
                  "Sets, lists and removes what ${secret:NAME} in site.toml stands for",
                  "  set NAME       reads the value from standard input; a terminal is asked for one line\n"
                  "  list           shows the names; a value is never shown again\n"
                  "  remove NAME\n"
                  "\n"
                  "A running site takes what changed with `terrace reload`.\n"
                  "\n"
                  "Examples:\n"
                  "  terrace secret set DB_PASSWORD\n"
                  "  openssl rand -hex 32 | terrace secret set SECRET_KEY && terrace reload\n"
                  "  terrace secret list");
  const auto rest = std::make_shared<std::vector<std::string>>();
  secret.add_option("ACTION", line.what, "set, list or remove")->type_name("");
  secret.add_option("NAME", line.name, "Letters, digits and _")->type_name("");
  secret.add_option("REST", *rest)->group("");
  add_file(secret, line);
  add_json(secret, line);
  secret.callback([&line, rest] { check_secret(line, *rest); });
}

void add_backup(CLI::App& app, CommandLine& line) {
  CLI::App& backup = add_command(
      app, line, Command::kBackup, "backup", "Backs the database up now, or lists the backups",
      "The site keeps running. The copy is checked, compressed, and tested by restoring it before it\n"
      "counts as a backup; the oldest beyond [db] backups_kept go. By itself the site does the same when\n"
      "[db] backup says. Only for the database that [db] engine names.\n"
      "\n"
      "Examples:\n"
      "  terrace backup\n"
      "  terrace backup --list\n"
      "  terrace backup --json | jq -r .backup");
  backup.add_flag("--list", line.list, "Shows the backups that are there, the newest first");
  add_file(backup, line);
  add_json(backup, line);
}

void add_restore(CLI::App& app, CommandLine& line) {
  CLI::App& restore = add_command(
      app, line, Command::kRestore, "restore", "Puts a backup in the place of the database",
      "The backup is checked first. Then requests wait, the instances stop, the database is swapped\n"
      "and the instances start again; the database before is kept beside the backups. Without\n"
      "--replace nothing is done: it says what would be lost.\n"
      "\n"
      "Examples:\n"
      "  terrace restore\n"
      "  terrace restore --replace\n"
      "  terrace restore shop-2026-11-23T020000Z.sqlite.zst --replace");
  restore
      .add_option("BACKUP", line.backup, "A name that `terrace backup --list` shows; without it the newest")
      ->type_name("");
  restore.add_flag("--replace", line.replace,
                   "Does it: what was written since the backup is gone from the site");
  add_file(restore, line);
  add_json(restore, line);
}

void add_dns(CLI::App& app, CommandLine& line) {
  CLI::App& dns = add_command(
      app, line, Command::kDns, "dns",
      "Prints the DNS records to enter, and checks what the world sees of them",
      "A and AAAA for [site] domain, a CNAME for www, and a CAA that lets Let's Encrypt issue\n"
      "certificates. The addresses are those of [servers], else the public ones of this machine.\n"
      "\n"
      "With --check the exit status is 0 when all are seen, 1 when not, 2 when it cannot ask.\n"
      "\n"
      "Examples:\n"
      "  terrace dns\n"
      "  terrace dns --check\n"
      "  terrace dns --check --resolver 9.9.9.9");
  dns.add_flag("--check", line.check,
               "Asks DNS which of them are not seen yet, and where the name points instead");
  dns.add_option("--resolver", line.resolver,
                 "The name server to ask, an IP address; without it the system's")
      ->type_name("ADDRESS[:PORT]");
  add_file(dns, line);
  add_json(dns, line);
}

// What each action of `lab` takes behind it, least and most words.
struct LabAction {
  std::string_view name;
  size_t least;
  size_t most;
  std::string_view takes;
};
constexpr std::array kLabActions = {
    LabAction{"up", 0, 1, "[FILE]"},
    LabAction{"status", 0, 0, ""},
    LabAction{"exec", 1, 1, "SERVER -- COMMAND…"},
    LabAction{"logs", 0, 1, "[SERVER]"},
    LabAction{"stop", 1, 1, "SERVER"},
    LabAction{"start", 1, 1, "SERVER"},
    LabAction{"kill", 1, 1, "SERVER"},
    LabAction{"freeze", 1, 1, "SERVER"},
    LabAction{"thaw", 1, 1, "SERVER"},
    LabAction{"cut", 2, 2, "SERVER SERVER"},
    LabAction{"heal", 0, 2, "[SERVER SERVER]"},
    LabAction{"link", 2, 2, "SERVER down|up"},
    LabAction{"down", 0, 0, ""},
};

void check_lab(CommandLine& line) {
  const auto* action = std::ranges::find(kLabActions, line.what, &LabAction::name);
  if (action == kLabActions.end()) {
    std::vector<std::string> names;
    for (const LabAction& each : kLabActions) names.emplace_back(each.name);
    const auto meant = config::suggest(line.what, names);
    throw CLI::ValidationError(
        meant ? fmt::format("it does not know `{}`; did you mean `{}`?", line.what, *meant)
              : fmt::format("say what to do: {}", fmt::join(names, ", ")));
  }
  const bool link = line.what == "link" && line.words.size() == 2;
  if (line.words.size() < action->least || line.words.size() > action->most ||
      (line.what == "heal" && line.words.size() == 1) || (line.what == "exec" && line.remote.empty()) ||
      (line.what != "exec" && !line.remote.empty()) ||
      (link && line.words[1] != "up" && line.words[1] != "down"))
    throw CLI::ValidationError(fmt::format("write `terrace lab {}{}{}`", action->name,
                                           action->takes.empty() ? "" : " ", action->takes));
  if (!line.lab.empty() && !lab::is_lab_name(line.lab))
    throw CLI::ValidationError("the name of a lab is made of letters, digits, `-` and `_`, at most 68");
  line.command = Command::kLab;
}

void add_apply(CLI::App& app, CommandLine& line) {
  CLI::App& apply =
      add_command(app, line, Command::kApply, "apply", "Gives a site file to all servers of the site",
                  "It is checked on every server that answers; what would change is shown, and when one of\n"
                  "them objects nothing changes anywhere. Then it is recorded once, and each server takes\n"
                  "it and writes it in the place of its site file; one that was down does when it is back.\n"
                  "Of two people at once one wins, the other is told who. From any server of the site.\n"
                  "\n"
                  "Examples:\n"
                  "  terrace apply new.toml --check   what would change? changes nothing\n"
                  "  terrace apply new.toml\n"
                  "  terrace apply                    the site file itself, after an edit\n"
                  "  terrace apply --back             the version before this one");
  apply.add_option("NEW", line.what, "The new site file; without it the site file as it is now")
      ->type_name("");
  apply.add_flag("--check", line.check, "Only checks, and shows what would change");
  apply.add_flag("--back", line.back, "Applies the version before this one again");
  add_file(apply, line);
  add_json(apply, line);
  apply.callback([&line] {
    if (line.back && !line.what.empty()) throw CLI::ValidationError("--back takes no file");
    line.command = Command::kApply;
  });
}

void add_history(CLI::App& app, CommandLine& line) {
  CLI::App& history = add_command(
      app, line, Command::kHistory, "history", "Lists the versions of the site file that were applied",
      "The newest first, with who applied it, on which server, and what it changed.\n"
      "\n"
      "Examples:\n"
      "  terrace history");
  add_file(history, line);
  add_json(history, line);
}

void add_lab(CLI::App& app, CommandLine& line) {
  CLI::App& lab = add_command(
      app, line, Command::kLab, "lab",
      "Runs the whole site on this machine, each server for itself, and breaks it",
      "Every server of the file gets namespaces of its own for processes, network, files and\n"
      "host name, and is installed and started as a rented machine would be. This machine's own\n"
      "network and settings stay as they are. Needs root. lab.toml beside the site file\n"
      "names machines that Terrace does not run. So, with sudo:\n"
      "\n"
      "  up [FILE]            builds it, and removes it at Ctrl-C; with --detach it stays\n"
      "  status               its machines and what is broken\n"
      "  exec SERVER -- CMD   runs a command there; `outside` is where visitors are, `switch` the network\n"
      "  logs [SERVER]        what its machines print\n"
      "  stop | start SERVER  shuts it down in order, switches it on\n"
      "  kill SERVER          cuts its power\n"
      "  freeze | thaw SERVER stops all of its processes where they stand, lets them go on\n"
      "  cut A B              lets nothing pass between two; with --one-way from A to B\n"
      "  heal [A B]           mends that, or all\n"
      "  link SERVER down|up  pulls its cable out, puts it in\n"
      "  down                 removes the lab; with --all every lab, and what others left\n"
      "\n"
      "Examples:\n"
      "  terrace lab up examples/1-distributed/site.toml\n"
      "  terrace lab exec web1 -- terrace status\n"
      "  terrace lab cut web1 web2 && terrace lab heal\n"
      "  terrace lab down --all");
  lab.add_option("ACTION", line.what, "What to do")->type_name("");
  lab.add_option("WORDS", line.words, "What it is done to")->type_name("");
  lab.add_option("--lab", line.lab, "Which lab; without it the only one that runs. Of up: its name")
      ->type_name("NAME");
  lab.add_flag("--detach", line.detach, "Of up: it goes on without the terminal");
  lab.add_flag("--bare", line.bare, "Of up: nothing is deployed");
  lab.add_flag("--keep", line.keep, "Of up: it stays when the site does not come up, to be looked at");
  lab.add_flag("--one-way", line.one_way, "Of cut: only from the first to the second");
  lab.add_flag("-f,--follow", line.follow, "Of logs: keeps showing new lines");
  lab.add_flag("--all", line.all, "Of down: every lab");
  add_file(lab, line);
  add_json(lab, line);
  lab.callback([&line] { check_lab(line); });
}

void add_upgrade(CLI::App& app, CommandLine& line) {
  CLI::App& upgrade = add_command(
      app, line, Command::kUpgrade, "upgrade", "Goes on with the version that is installed now, under load",
      "What a package does after it has replaced the program. The new version takes the\n"
      "listening sockets and the application's instances as they are; requests and WebSockets\n"
      "of before are finished by the old one. A program that does not start is refused, and\n"
      "the one that runs goes on: exit status 1. Waits for a deploy, backup or restore.\n"
      "\n"
      "Examples:\n"
      "  terrace upgrade");
  add_file(upgrade, line);
  add_json(upgrade, line);
}

void add_token(CLI::App& app, CommandLine& line) {
  CLI::App& token = add_command(
      app, line, Command::kToken, "token", "Makes a token with which one more server joins the site",
      "Prints the command to run on the new server. A token is for one server of the site file,\n"
      "works once and expires. Whoever has it can become that server: hand it over as a password.\n"
      "\n"
      "Examples:\n"
      "  terrace token web2\n"
      "  terrace token web2 --life 10m\n"
      "  terrace token web2 --json | jq -r .token");
  token
      .add_option("SERVER", line.server, "Its name in [servers]; without it the only one that has not joined")
      ->type_name("");
  token.add_option("--life", line.life, "How long it works: 10m, 2h, 3d (1h)")->type_name("TIME");
  add_file(token, line);
  add_json(token, line);
}

void add_join(CLI::App& app, CommandLine& line) {
  CLI::App& join = add_command(
      app, line, Command::kJoin, "join", "Makes this machine a server of a site that runs elsewhere",
      "Its key is made here and never leaves it; the site's authority answers with a certificate\n"
      "and the site file. When the power fails in between, the same command goes on.\n"
      "\n"
      "Examples:\n"
      "  terrace join 10.0.0.11:7400 --token terrace1.mfrggzdfmztwq2lk");
  join.add_option("ADDRESS", line.address, "The server to ask; without it the one that the token names")
      ->type_name("");
  join.add_option("--token", line.token, "What `terrace token` has printed there")
      ->required()
      ->type_name("TOKEN");
  join.add_option("--file", line.file,
                  "Where the site file goes; as root /etc/terrace/site.toml, else ./site.toml")
      ->type_name("FILE");
  add_json(join, line);
}

void add_revoke(CLI::App& app, CommandLine& line) {
  CLI::App& revoke = add_command(
      app, line, Command::kRevoke, "revoke", "Puts a server out of the site: nobody speaks with it any more",
      "Within a second no server of the site accepts its certificate, and open connections with it\n"
      "end. It stays in the site file; another machine takes its place with `terrace token`.\n"
      "\n"
      "Examples:\n"
      "  terrace revoke web3");
  revoke.add_option("SERVER", line.server, "Its name in [servers]")->required()->type_name("");
  add_file(revoke, line);
  add_json(revoke, line);
}

void add_certificates(CLI::App& app, CommandLine& line) {
  CLI::App& certificates = add_command(
      app, line, Command::kCertificates, "certificates",
      "Shows the certificates of the servers, or lets a new authority sign them",
      "With `rotate` the site gets a new authority while it serves: every server trusts both, then\n"
      "gets a certificate of the new one, then trusts that one alone. A server that is down holds it\n"
      "up, and nothing else.\n"
      "\n"
      "Examples:\n"
      "  terrace certificates\n"
      "  terrace certificates rotate");
  certificates.add_option("ACTION", line.what, "rotate; without it they are shown")
      ->check(CLI::IsMember({"rotate"}).description(""))
      ->type_name("");
  add_file(certificates, line);
  add_json(certificates, line);
}

void add_drain(CLI::App& app, CommandLine& line) {
  CLI::App& drain = add_command(
      app, line, Command::kDrain, "drain", "Lets a server finish its requests and take no new ones",
      "For work on that machine. It stays a member of the site, and drained until `terrace undrain`.\n"
      "\n"
      "Examples:\n"
      "  terrace drain web2");
  drain.add_option("SERVER", line.server, "Its name in [servers]")->required()->type_name("");
  add_file(drain, line);
  add_json(drain, line);
  CLI::App& undrain = add_command(app, line, Command::kUndrain, "undrain",
                                  "Lets a server that was drained take requests again",
                                  "Examples:\n"
                                  "  terrace undrain web2");
  undrain.add_option("SERVER", line.server, "Its name in [servers]")->required()->type_name("");
  add_file(undrain, line);
  add_json(undrain, line);
}

void add_schema(CLI::App& app, CommandLine& line) {
  CLI::App& schema =
      add_command(app, line, Command::kSchema, "schema", "Prints the JSON schema of site.toml, for editors",
                  "Editors with a TOML language server complete and check site.toml with it.\n"
                  "\n"
                  "Examples:\n"
                  "  terrace schema > site.schema.json\n"
                  "  terrace schema --manual | less");
  schema.add_flag("--manual", line.manual, "The manual page of the site file instead, as Markdown");
  schema.add_flag("--json", line.json, "The schema is JSON already; accepted everywhere");
}

void add_version(CLI::App& app, CommandLine& line) {
  CLI::App& command = add_command(app, line, Command::kVersion, "version", "Prints the version of Terrace",
                                  "Examples:\n"
                                  "  terrace version\n"
                                  "  terrace version --json");
  add_json(command, line);
}

void describe_commands(CLI::App& app, CommandLine& line) {
  app.footer(kFooter);
  app.set_version_flag("--version", fmt::format("terrace {}", kVersion), "Prints the version of Terrace");
  app.require_subcommand(1);
  app.get_formatter()->column_width(26);
  app.get_formatter()->label("SUBCOMMAND", "COMMAND");
  app.get_formatter()->label("Positionals", "Arguments");
  app.get_formatter()->label("REQUIRED", "");
  app.set_help_flag("-h,--help", "Shows this help");
  add_init(app, line);
  add_up(app, line);
  add_check(app, line);
  add_status(app, line);
  add_logs(app, line);
  add_reload(app, line);
  add_restart(app, line);
  add_deploy(app, line);
  add_rollback(app, line);
  add_releases(app, line);
  add_secret(app, line);
  add_backup(app, line);
  add_restore(app, line);
  add_dns(app, line);
  add_token(app, line);
  add_join(app, line);
  add_revoke(app, line);
  add_certificates(app, line);
  add_drain(app, line);
  add_apply(app, line);
  add_history(app, line);
  add_lab(app, line);
  add_upgrade(app, line);
  add_schema(app, line);
  add_version(app, line);
}

std::vector<std::string> names_of(const CLI::App& app) {
  std::vector<std::string> names;
  for (const CLI::App* command : app.get_subcommands({})) names.push_back(command->get_name());
  return names;
}

OptionWords words_of(const CLI::Option& option) {
  OptionWords words{.names = {}, .value = {}, .about = option.get_description()};
  for (const std::string& name : option.get_lnames()) words.names.push_back("--" + name);
  for (const std::string& name : option.get_snames()) words.names.push_back("-" + name);
  if (words.names.empty()) words.names.push_back(option.get_name());
  const bool takes_value = option.nonpositional() && option.get_items_expected_max() > 0;
  if (takes_value) words.value = option.get_type_name();
  return words;
}

// The answer to a first word that is not one of `names`.
Leave unknown_command(const std::string& word, std::vector<std::string> names) {
  for (const Later& later : kLater) {
    if (later.name == word) {
      return {.status = kExitCannotRead,
              .error = fmt::format("terrace: `{}` is not in this version: comes with {}\n", word,
                                   later.comes_with)};
    }
    names.emplace_back(later.name);
  }
  std::string error = fmt::format("terrace: unknown command `{}`", word);
  if (const auto meant = config::suggest(word, names)) error += fmt::format("; did you mean `{}`?", *meant);
  return {.status = kExitCannotRead, .error = error + "\nterrace --help lists the commands\n"};
}

// The option of `command` that was probably meant, as ": did you mean `--watch`?".
std::string guess(const CLI::App& command, const std::string& word) {
  std::vector<std::string> names;
  for (const CLI::Option* option : command.get_options()) {
    for (const std::string& name : option->get_lnames()) names.push_back("--" + name);
  }
  const auto meant = config::suggest(word, names);
  return meant ? fmt::format("; did you mean `{}`?", *meant) : "";
}

// What is wrong with the options of a command, in one line, and where help is.
Leave wrong_options(const CLI::ParseError& wrong, const CLI::App& app) {
  const std::vector<CLI::App*> chosen = app.get_subcommands();
  const CLI::App& command = chosen.empty() ? app : *chosen[0];
  const std::string name = chosen.empty() ? "terrace" : "terrace " + command.get_name();
  const std::vector<std::string> extra = app.remaining(true);
  const bool unknown = dynamic_cast<const CLI::ExtrasError*>(&wrong) != nullptr && !extra.empty();
  // What follows `secret` may be one.
  const bool repeats = unknown || dynamic_cast<const CLI::ConversionError*>(&wrong) != nullptr;
  const std::string what = repeats && command.get_name() == "secret" ? "it does not know this option"
                           : unknown
                               ? fmt::format("it does not know `{}`{}", extra[0], guess(command, extra[0]))
                               : std::string(wrong.what());
  return {.status = kExitCannotRead,
          .error = fmt::format("{0}: {1}\n{0} --help shows what it takes\n", name, what)};
}

// The answer to an option where a command should be.
Leave option_first(const std::string& word) {
  return {.status = kExitCannotRead,
          .error = fmt::format("terrace: `{}` stands where a command should; options follow the command\n"
                               "terrace --help lists the commands\n",
                               word)};
}

// Whether the first word may be something else than a command.
bool may_lead(const std::string& word) { return word == "--help" || word == "-h" || word == "--version"; }

// What stands behind `--` belongs to the command that `lab exec` runs, options and all.
std::vector<std::string> take_remote(std::vector<std::string>& words) {
  const auto mark = std::ranges::find(words, "--");
  if (words[0] != "lab" || mark == words.end()) return {};
  std::vector<std::string> remote(mark + 1, words.end());
  words.erase(mark, words.end());
  return remote;
}

// `terrace help status` is `terrace status --help`.
std::vector<std::string> without_help_word(std::span<const char* const> arguments) {
  std::vector<std::string> words(arguments.begin(), arguments.end());
  if (words.empty()) return {"--help"};
  if (words[0] == "help") {
    words.erase(words.begin());
    words.emplace_back("--help");
  }
  return words;
}

}  // namespace

std::variant<CommandLine, Leave> parse_command_line(std::span<const char* const> arguments) {
  CommandLine line;
  CLI::App app(kAbout, "terrace");
  describe_commands(app, line);
  std::vector<std::string> words = without_help_word(arguments);
  line.remote = take_remote(words);
  const std::vector<std::string> names = names_of(app);
  if (words[0].starts_with('-') && !may_lead(words[0])) return option_first(words[0]);
  if (!words[0].starts_with('-') && std::ranges::find(names, words[0]) == names.end()) {
    return unknown_command(words[0], names);
  }
  std::ranges::reverse(words);  // as CLI11 takes them
  try {
    app.parse(words);
  } catch (const CLI::ParseError& wrong) {
    std::ostringstream output;
    std::ostringstream error;
    if (wrong.get_exit_code() != 0) return wrong_options(wrong, app);
    app.exit(wrong, output, error);
    const bool bare = arguments.empty();
    return Leave{.status = bare ? kExitCannotRead : kExitFine, .output = output.str(), .error = error.str()};
  }
  return line;
}

std::vector<CommandWords> command_words() {
  CommandLine line;
  CLI::App app(kAbout, "terrace");
  describe_commands(app, line);
  std::vector<CommandWords> commands;
  for (const CLI::App* command : app.get_subcommands({})) {
    commands.push_back({.name = command->get_name(),
                        .about = command->get_description(),
                        .text = command->get_footer(),
                        .options = {}});
    for (const CLI::Option* option : command->get_options()) {
      if (!option->get_group().empty()) commands.back().options.push_back(words_of(*option));
    }
  }
  return commands;
}

std::vector<std::string> command_names() {
  CommandLine line;
  CLI::App app(kAbout, "terrace");
  describe_commands(app, line);
  return names_of(app);
}

}  // namespace terrace::program
