#pragma once

#include <string>

#include "program/command_line.h"

// What each command does; each returns the exit status. Results go to standard
// output, complaints to standard error; with --json a complaint is JSON on
// standard output, too: {"ok": false, "error": "…"}.

namespace terrace::program {

int run_init(const CommandLine& line);
int run_up_detached(const std::string& site_path, const std::string& server);
int run_check(const CommandLine& line);
int run_status(const CommandLine& line);
int run_logs(const CommandLine& line);
int run_reload(const CommandLine& line);
int run_restart(const CommandLine& line);
int run_secret(const CommandLine& line);
int run_upgrade(const CommandLine& line);
int run_deploy(const CommandLine& line);
int run_rollback(const CommandLine& line);
int run_releases(const CommandLine& line);
int run_backup(const CommandLine& line);
int run_restore(const CommandLine& line);
int run_dns(const CommandLine& line);
int run_lab(const CommandLine& line);
int run_apply(const CommandLine& line);
int run_history(const CommandLine& line);
int run_token(const CommandLine& line);
int run_join(const CommandLine& line);
int run_revoke(const CommandLine& line);
int run_certificates(const CommandLine& line);
int run_drain(const CommandLine& line);  // undrain, too
// `terrace generate WHAT`, which no help shows: what a package ships and is made from
// the command table: terrace.1, site.toml.5, bash, zsh, fish.
int run_generate(int argc, char** argv);
int run_schema(const CommandLine& line);
int run_version(const CommandLine& line);

}  // namespace terrace::program
