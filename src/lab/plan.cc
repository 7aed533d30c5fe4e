#include "lab/plan.h"

#include <fmt/format.h>

#include <algorithm>

#include "net/address.h"

namespace terrace::lab {
namespace {

using topology::Role;

// Of RFC 2544 section C.2.2 and RFC 5737: addresses that nobody has.
constexpr Ipv4 kClientNetworks[] = {0xc612'0000, 0xc000'0200, 0xc633'6400, 0xcb00'7100};
constexpr Ipv4 kHostMask = 0xff;
constexpr Ipv4 kLoopbackNetwork = 0x7f00'0000;

Ipv4 network_of(Ipv4 address) { return address & ~kHostMask; }

std::expected<Ipv4, std::string> parse(const std::string& name, const std::string& text) {
  const Result<net::Ip> ip = net::Ip::parse(text);
  if (!ip || !ip->is_v4())
    return std::unexpected(fmt::format("a lab gives out IPv4 addresses only, and `{}` has {}", name, text));
  Ipv4 address = 0;
  for (size_t i = 12; i < 16; ++i) address = address << 8 | ip->bytes[i];
  if ((address & 0xff00'0000) == kLoopbackNetwork)
    return std::unexpected(fmt::format("`{}` has {}, where no other server could reach it", name, text));
  return address;
}

// Each network of the site once, in order.
std::set<Ipv4> networks(const Plan& plan) {
  std::set<Ipv4> found;
  for (const PlannedMachine& machine : plan.machines) {
    if (machine.address != 0 && machine.kind != MachineKind::kOutside)
      found.insert(network_of(machine.address));
  }
  return found;
}

// The outside's address in that network: the highest that is no machine's and no broadcast.
Ipv4 gateway(const Plan& plan, Ipv4 network) {
  Ipv4 address = network | 0xfe;
  while (std::ranges::find(plan.machines, address, &PlannedMachine::address) != plan.machines.end())
    --address;
  return address;
}

int web_port(const topology::Site& site) {
  for (const std::string& listen : site.web.listen) {
    const Result<net::Address> address = net::Address::parse(listen);
    if (address && address->port() != 0) return address->port();
  }
  return 80;
}

// Visitors come to load balancers where there are some, else to web servers.
void give_roles(const topology::Site& site, Plan& plan) {
  const bool balanced = has_role(site, Role::kLb);
  for (size_t i = 0; i < site.servers.size(); ++i) {
    const topology::Server& server = site.servers[i];
    plan.machines[i].entry = has_role(server, balanced ? Role::kLb : Role::kWeb);
    plan.machines[i].releases = has_role(server, Role::kWeb) || has_role(server, Role::kApp);
  }
}

std::expected<void, std::string> check_names(const Plan& plan) {
  std::set<std::string> names = {kOutside, kSwitch};
  std::set<Ipv4> addresses;
  for (const PlannedMachine& machine : plan.machines) {
    if (!names.insert(machine.name).second)
      return std::unexpected(
          fmt::format("`{}` is two machines of this lab: each needs a name of its own, and "
                      "`{}` and `{}` are taken",
                      machine.name, kOutside, kSwitch));
    if (!addresses.insert(machine.address).second)
      return std::unexpected(
          fmt::format("two machines of this lab have the address {}", print(machine.address)));
  }
  return {};
}

std::expected<void, std::string> add_machines(const topology::Site& site, const LabFile& file, Plan& plan) {
  for (const topology::Server& server : site.servers) {
    const auto address = parse(server.name, server.address);
    if (!address) return std::unexpected(address.error());
    plan.machines.push_back({.name = server.name, .kind = MachineKind::kServer, .address = *address});
  }
  for (const LabMachine& machine : file.machines) {
    const auto address = parse(machine.name, machine.address);
    if (!address) return std::unexpected(address.error());
    plan.machines.push_back({.name = machine.name,
                             .kind = machine.terrace ? MachineKind::kSpare : MachineKind::kOther,
                             .address = *address,
                             .setup = machine.setup,
                             .run = machine.run,
                             .ready = machine.ready});
  }
  return {};
}

void add_own_machines(Plan& plan) {
  const std::set<Ipv4> taken = networks(plan);
  for (const Ipv4 network : kClientNetworks) {
    plan.clients = network + 1;
    if (!taken.contains(network)) break;
  }
  plan.machines.push_back({.name = kOutside, .kind = MachineKind::kOutside, .address = plan.clients});
  plan.machines.push_back({.name = kSwitch, .kind = MachineKind::kSwitch});
  for (size_t i = 0; i < plan.machines.size(); ++i)
    plan.machines[i].interface =
        plan.machines[i].kind == MachineKind::kSwitch ? "" : fmt::format("p{}", i + 1);
}

std::string outside_commands(const Plan& plan) {
  std::string commands;
  for (int i = 0; i < kClientAddresses; ++i)
    commands += fmt::format("addr add {}/32 dev lo\n", print(plan.clients + static_cast<Ipv4>(i)));
  for (const Ipv4 network : networks(plan)) {
    commands += fmt::format("addr add {}/24 dev eth0 noprefixroute\n", print(gateway(plan, network)));
    commands += fmt::format("route add {}/24 dev eth0 src {}\n", print(network), print(plan.clients));
  }
  return commands;
}

}  // namespace

const PlannedMachine* Plan::find(std::string_view name) const {
  const auto found = std::ranges::find(machines, name, &PlannedMachine::name);
  return found != machines.end() ? &*found : nullptr;
}

std::expected<Plan, std::string> make_plan(const topology::Site& site, const LabFile& file) {
  if (site.servers.empty())
    return std::unexpected(
        "this site file names no servers: `terrace up` runs it on this machine as it is; a "
        "lab needs `[servers]`");
  if (site.servers.size() + file.machines.size() > kMachinesMax)
    return std::unexpected(fmt::format("a lab has {} machines at most", kMachinesMax));
  Plan plan{.site_name = site.site.name,
            .domain = site.site.domain,
            .site_path = site.path,
            .web_port = web_port(site),
            .loopback_port = file.port,
            .secrets = file.secrets};
  if (const auto added = add_machines(site, file, plan); !added) return std::unexpected(added.error());
  if (const auto checked = check_names(plan); !checked) return std::unexpected(checked.error());
  add_own_machines(plan);
  give_roles(site, plan);
  return plan;
}

std::string print(Ipv4 address) {
  return fmt::format("{}.{}.{}.{}", address >> 24, address >> 16 & 0xff, address >> 8 & 0xff, address & 0xff);
}

std::string hosts_text(const Plan& plan) {
  std::string text = "127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n";
  for (const PlannedMachine& machine : plan.machines) {
    if (machine.address != 0) text += fmt::format("{} {}\n", print(machine.address), machine.name);
  }
  if (plan.domain.empty()) return text;
  for (const PlannedMachine& machine : plan.machines) {
    if (machine.entry) text += fmt::format("{0} {1} www.{1}\n", print(machine.address), plan.domain);
  }
  return text;
}

std::string switch_commands() {
  return fmt::format(
      "link set lo up\n"
      "link add {0} type bridge forward_delay 0 stp_state 0 mcast_snooping 0\n"
      "link set {0} up\n",
      kBridge);
}

std::string cable_commands(const PlannedMachine& machine, int pid) {
  const Ipv4 a = machine.address;
  return fmt::format(
      "link add {0} type veth peer name eth0 address 02:54:{1:02x}:{2:02x}:{3:02x}:{4:02x} netns {5}\n"
      "link set {0} master {6} up\n",
      machine.interface, a >> 24, a >> 16 & 0xff, a >> 8 & 0xff, a & 0xff, pid, kBridge);
}

std::string uncable_commands(const PlannedMachine& machine) {
  return fmt::format("link del {}\n", machine.interface);
}

std::string machine_commands(const Plan& plan, const PlannedMachine& machine) {
  std::string commands = "link set lo up\nlink set eth0 up\n";
  if (machine.kind == MachineKind::kOutside) return commands + outside_commands(plan);
  const Ipv4 own = network_of(machine.address);
  commands += fmt::format("addr add {}/24 brd + dev eth0\n", print(machine.address));
  // The site's networks share a cable, so that each is reached without a router.
  for (const Ipv4 network : networks(plan)) {
    if (network != own) commands += fmt::format("route add {}/24 dev eth0\n", print(network));
  }
  return commands + fmt::format("route add default via {} dev eth0\n", print(gateway(plan, own)));
}

std::string cut_rules(const Plan& plan, const Cuts& cuts) {
  // Made and deleted first, so that the whole is one transaction whatever was there.
  std::string text =
      "add table bridge lab\ndelete table bridge lab\nadd table bridge lab\n"
      "add chain bridge lab cuts { type filter hook forward priority 0; policy accept; }\n";
  for (const auto& [from, to] : cuts) {
    const PlannedMachine* sender = plan.find(from);
    const PlannedMachine* receiver = plan.find(to);
    if (sender == nullptr || receiver == nullptr) continue;
    text += fmt::format("add rule bridge lab cuts iifname \"{}\" oifname \"{}\" drop\n", sender->interface,
                        receiver->interface);
  }
  return text;
}

}  // namespace terrace::lab
