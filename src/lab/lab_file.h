#pragma once

#include <memory>
#include <string>
#include <vector>

#include "config/field.h"

namespace terrace::lab {

// lab.toml beside the site file: what a lab needs beyond the site. It may be missing.
//
//   [lab]
//   port = 8080                  # of this machine's loopback; forwarded to the site
//
//   deploy = "../shop"           # the folder that is deployed; relative to this file
//
//   [machines.db1]               # a machine that Terrace does not run
//   address = "10.0.0.31"
//   setup   = "…"                # sh -c, as root, once
//   run     = "exec mariadbd …"  # sh -c, as root, again whenever it ends
//   ready   = "mariadb-admin ping"
//
//   [machines.web3]              # a server that has not joined yet
//   address = "10.0.0.23"
//   terrace = true
//
//   [lab.secrets]                # values for this lab, set as `terrace secret set` does
//   DB_PASSWORD = "for the lab only"

struct LabMachine {
  std::string name;
  std::string address;
  std::string setup;
  std::string run;
  std::string ready;  // succeeds when the machine does its work; empty: at once
  bool terrace = false;
};

struct LabFile {
  int port = 8080;     // another one when this is taken
  std::string deploy;  // empty: the folder of the site file
  std::vector<LabMachine> machines;
  std::vector<config::Named> secrets;
};

// What a lab holds at most, servers and other machines together.
constexpr size_t kMachinesMax = 64;

std::vector<config::Table> lab_tables(LabFile& file);

struct LoadedLabFile {
  std::unique_ptr<LabFile> file;  // null when there are errors
  std::string text;               // what was found, as `terrace check` prints it
};
LoadedLabFile load_lab_text(std::string text, const std::string& shown_as);
// A file that is missing is one that says nothing.
LoadedLabFile load_lab_file(const std::string& path);

}  // namespace terrace::lab
