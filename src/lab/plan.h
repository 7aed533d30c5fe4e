#pragma once

// What a lab consists of, computed from the site file and lab.toml before anything is
// started. Pure: the same files give the same plan, addresses included.
//
// One switch, and every machine has one cable to it:
//
//        outside  (the internet: clients, 198.18.0.0/24, and the way of every packet
//           |      that leaves the site)
//   =====switch=====================================
//      |          |          |
//    web1       web2        db1      the site's servers, and machines of lab.toml
//
// Each of them is a set of namespaces of its own, the switch too. The host has no
// interface, route, rule or setting of the lab: all cables end in these namespaces.
// The outside has the gateway's address in each network of the site, and the clients'
// addresses behind it; so servers see clients with addresses that are none of theirs.

#include <cstdint>
#include <expected>
#include <set>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "lab/lab_file.h"
#include "topology/site.h"

namespace terrace::lab {

// Names that no server or machine may have.
constexpr const char* kOutside = "outside";
constexpr const char* kSwitch = "switch";
// The bridge within the switch: what a capture listens on.
constexpr const char* kBridge = "site";
// Addresses that clients may use; the first is what `outside` uses by itself.
constexpr int kClientAddresses = 32;

enum class MachineKind : uint8_t { kServer, kSpare, kOther, kOutside, kSwitch };

// An IPv4 address as a number, most significant byte first.
using Ipv4 = uint32_t;

struct PlannedMachine {
  std::string name;
  MachineKind kind = MachineKind::kServer;
  Ipv4 address = 0;       // 0: the switch has none
  std::string interface;  // its end of the cable within the switch: "p3"
  bool entry = false;     // clients may ask it
  bool releases = false;  // what is deployed goes there
  std::string setup;
  std::string run;
  std::string ready;

  bool has_terrace() const { return kind == MachineKind::kServer || kind == MachineKind::kSpare; }
};

struct Plan {
  std::string site_name;
  std::string domain;
  std::string site_path;
  int web_port = 80;
  int loopback_port = 8080;
  Ipv4 clients = 0;  // the first of kClientAddresses; their network is a /24
  // The servers in the order of the file, machines of lab.toml, outside, switch.
  std::vector<PlannedMachine> machines;
  std::vector<config::Named> secrets;

  const PlannedMachine* find(std::string_view name) const;
};

// An error is a text for a person.
std::expected<Plan, std::string> make_plan(const topology::Site& site, const LabFile& file);

std::string print(Ipv4 address);

// /etc/hosts of every machine: all machines, and the site's domain with the addresses
// of all its entries.
std::string hosts_text(const Plan& plan);

// ---- what ip(8) is told, one command per line (`ip -batch`)

// Within the switch, once: the bridge.
std::string switch_commands();
// Within the switch: a cable to the machine whose init has this process id.
std::string cable_commands(const PlannedMachine& machine, int pid);
// Within the switch: its cable away.
std::string uncable_commands(const PlannedMachine& machine);
// Within the machine: its addresses and routes.
std::string machine_commands(const Plan& plan, const PlannedMachine& machine);

// ---- what nft(8) is told within the switch

// From the first to the second nothing passes.
using Cuts = std::set<std::pair<std::string, std::string>>;
std::string cut_rules(const Plan& plan, const Cuts& cuts);

}  // namespace terrace::lab
