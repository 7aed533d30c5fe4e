// What the keeper answers: see request.h.

#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>

#include <nlohmann/json.hpp>

#include "lab/keeper.h"
#include "lab/tool.h"

namespace terrace::lab {
namespace {

using Json = nlohmann::json;

constexpr size_t kClientsMax = 64;
constexpr std::chrono::seconds kRequestTimeout{5};
constexpr std::chrono::seconds kBootTimeout{60};
// Its service has kStopTimeout.
constexpr std::chrono::seconds kStopPatience = kStopTimeout + std::chrono::seconds(10);
constexpr timeval kSendTimeout{.tv_sec = 2, .tv_usec = 0};

std::string dump(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
}

const char* word(MachineKind kind) {
  switch (kind) {
    case MachineKind::kServer:
      return "server";
    case MachineKind::kSpare:
      return "spare";
    case MachineKind::kOther:
      return "machine";
    case MachineKind::kOutside:
      return "outside";
    case MachineKind::kSwitch:
      return "switch";
  }
  return "";
}

void send_with(int socket, const std::string& line, int descriptor) {
  iovec part{.iov_base = const_cast<char*>(line.data()), .iov_len = line.size()};
  alignas(cmsghdr) char room[CMSG_SPACE(sizeof descriptor)] = {};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  if (descriptor >= 0) {
    message.msg_control = room;
    message.msg_controllen = sizeof room;
    cmsghdr* header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof descriptor);
    std::memcpy(CMSG_DATA(header), &descriptor, sizeof descriptor);
  }
  const ssize_t sent = ::sendmsg(socket, &message, MSG_NOSIGNAL);
  for (size_t at = sent > 0 ? static_cast<size_t>(sent) : line.size(); at < line.size();) {
    const ssize_t more = ::send(socket, line.data() + at, line.size() - at, MSG_NOSIGNAL);
    if (more <= 0) return;
    at += static_cast<size_t>(more);
  }
}

}  // namespace

void Keeper::accept_client() {
  Descriptor socket(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
  if (!socket || clients_.size() >= kClientsMax) return;
  ::setsockopt(socket.get(), SOL_SOCKET, SO_SNDTIMEO, &kSendTimeout, sizeof kSendTimeout);
  clients_.push_back(
      {.socket = std::move(socket), .received = {}, .deadline = SystemClock().now() + kRequestTimeout});
}

void Keeper::read_client(Client& client) {
  char block[kRequestBytesMax];
  const ssize_t n = ::recv(client.socket.get(), block, sizeof block, MSG_DONTWAIT);
  if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) return client.socket.reset();
  // What it says behind its request is of no interest.
  if (n < 0 || client.awaited != nullptr) return;
  client.received.append(block, static_cast<size_t>(n));
  const size_t end = client.received.find('\n');
  if (end == std::string::npos && client.received.size() > kRequestBytesMax)
    return refuse(client, "the request is too long");
  if (end == std::string::npos || (going_down_ && client.answered)) return;
  const Result<Request> request = parse_request(std::string_view(client.received).substr(0, end));
  client.received.clear();
  if (!request) return refuse(client, describe(request.error()));
  handle(client, *request);
}

// What a client waits for has come, or will not.
void Keeper::look_after(Client& client) {
  if (!client.socket || client.answered) return;
  if (client.awaited != nullptr) {
    const Machine& machine = *client.awaited;
    if (machine.state() == client.state) return agree(client);
    if (machine.state() == MachineState::kFailed && !machine.is_on())
      return refuse(client, fmt::format("`{}` does not boot: {}", machine.name(), machine.failure()));
  }
  if (SystemClock().now() < client.deadline) return;
  if (client.awaited != nullptr && client.state == MachineState::kOff) {
    client.awaited->cut_power();
    return refuse(client, fmt::format("`{}` did not stop and was cut off", client.awaited->name()));
  }
  refuse(client, client.awaited != nullptr ? "it took too long" : "no request came");
}

void Keeper::answer(Client& client, const std::string& line, int descriptor) {
  if (client.socket) send_with(client.socket.get(), line, descriptor);
  client.socket.reset();
}

void Keeper::refuse(Client& client, const std::string& why) {
  answer(client, dump({{"ok", false}, {"error", why}}));
}

void Keeper::agree(Client& client) { answer(client, dump({{"ok", true}})); }

void Keeper::handle(Client& client, const Request& request) {
  if (request.command == LabCommand::kStatus) return answer(client, status());
  if (request.command == LabCommand::kDown) {
    // The deadline is whoever asks's: run() answers at its end.
    client.answered = true;
    return begin_down();
  }
  if (going_down_) return refuse(client, "the lab is going down");
  for (const std::string* name : {&request.machine, &request.other}) {
    if (!name->empty() && find(*name) == nullptr)
      return refuse(client, fmt::format("this lab has no machine `{}`", *name));
  }
  if (request.command == LabCommand::kCut) return cut(client, request);
  if (request.command == LabCommand::kHeal) return heal(client, request);
  Machine& machine = *find(request.machine);
  if (request.command == LabCommand::kEnter) {
    if (!machine.has_root())
      return refuse(client, fmt::format("`{}` is {}", machine.name(), lab::word(machine.state())));
    return answer(client, dump({{"ok", true}, {"state", lab::word(machine.state())}}), machine.pidfd());
  }
  const bool own = machine.name() == kOutside || machine.name() == kSwitch;
  if (own) return refuse(client, fmt::format("`{}` is no machine of the site", machine.name()));
  if (request.command == LabCommand::kLink) return link(client, request, machine);
  handle_machine(client, request, machine);
}

void Keeper::handle_machine(Client& client, const Request& request, Machine& machine) {
  const MachineState state = machine.state();
  const auto not_now = [&] {
    refuse(client, fmt::format("`{}` cannot be told to {} now: it is {}", machine.name(),
                               lab::word(request.command), lab::word(state)));
  };
  const auto await = [&](MachineState wanted, Duration patience) {
    client.awaited = &machine;
    client.state = wanted;
    client.deadline = SystemClock().now() + patience;
  };
  note(fmt::format("{} {}", lab::word(request.command), machine.name()));
  switch (request.command) {
    case LabCommand::kBegin:
      if (state != MachineState::kUp) return not_now();
      machine.tell(kSayService);
      return agree(client);
    case LabCommand::kStart:
      if (machine.is_on()) return not_now();
      if (const Result<void> on = machine.power_on(); !on) return refuse(client, describe(on.error()));
      return await(MachineState::kUp, kBootTimeout);
    case LabCommand::kStop:
      if (state != MachineState::kUp) return not_now();
      machine.shut_down();
      return await(MachineState::kOff, kStopPatience);
    case LabCommand::kKill:
      if (!machine.is_on()) return not_now();
      machine.cut_power();
      return await(MachineState::kOff, kRequestTimeout);
    case LabCommand::kFreeze:
      if (state != MachineState::kUp) return not_now();
      machine.freeze();
      return agree(client);
    case LabCommand::kThaw:
      if (state != MachineState::kFrozen) return not_now();
      machine.thaw();
      return agree(client);
    default:
      return not_now();
  }
}

// Empty when the switch took them.
std::string Keeper::set_cuts(Cuts cuts) {
  const std::string wrong =
      run_tool_in_network(the_switch().pidfd(), {"nft", "-f", "-"}, cut_rules(options_.plan, cuts));
  if (wrong.empty()) cuts_ = std::move(cuts);
  return wrong;
}

void Keeper::cut(Client& client, const Request& request) {
  if (request.machine == kSwitch || request.other == kSwitch)
    return refuse(client, "the switch is no end of a cable: `link SERVER down` takes one out");
  if (request.machine == request.other) return refuse(client, "a machine cannot be cut off itself");
  Cuts cuts = cuts_;
  cuts.emplace(request.machine, request.other);
  if (!request.one_way) cuts.emplace(request.other, request.machine);
  if (const std::string wrong = set_cuts(std::move(cuts)); !wrong.empty()) return refuse(client, wrong);
  note(fmt::format("cut {} {} {}", request.machine, request.one_way ? "->" : "<->", request.other));
  agree(client);
}

void Keeper::heal(Client& client, const Request& request) {
  Cuts cuts = cuts_;
  if (request.machine.empty()) {
    cuts.clear();
  } else {
    cuts.erase({request.machine, request.other});
    cuts.erase({request.other, request.machine});
  }
  if (const std::string wrong = set_cuts(std::move(cuts)); !wrong.empty()) return refuse(client, wrong);
  note(fmt::format("heal {} {}", request.machine, request.other));
  for (Machine& machine : machines_) {
    if (!request.machine.empty() || machine.link_up) continue;
    Client nobody;
    link(nobody, {.command = LabCommand::kLink, .machine = machine.name(), .up = true}, machine);
  }
  agree(client);
}

void Keeper::link(Client& client, const Request& request, Machine& machine) {
  if (!machine.is_on()) return refuse(client, fmt::format("`{}` is off", machine.name()));
  const std::string command =
      fmt::format("link set {} {}\n", machine.plan().interface, request.up ? "up" : "down");
  const std::string wrong = run_tool_in_network(the_switch().pidfd(), {"ip", "-batch", "-"}, command);
  if (!wrong.empty()) return refuse(client, wrong);
  machine.link_up = request.up;
  note(fmt::format("link {} {}", machine.name(), request.up ? "up" : "down"));
  agree(client);
}

std::string Keeper::status() const {
  Json machines = Json::array();
  for (const Machine& machine : machines_) {
    Json one = {{"name", machine.name()},
                {"kind", word(machine.plan().kind)},
                {"state", lab::word(machine.state())},
                {"link", machine.link_up ? "up" : "down"},
                {"pid", machine.pid()}};
    if (machine.plan().address != 0) one["address"] = print(machine.plan().address);
    if (!machine.failure().empty()) one["error"] = machine.failure();
    machines.push_back(std::move(one));
  }
  Json cuts = Json::array();
  for (const auto& [from, to] : cuts_) cuts.push_back({{"from", from}, {"to", to}});
  Json json = {{"ok", true},
               {"lab", options_.folders.name},
               {"site", options_.plan.site_name},
               {"path", options_.plan.site_path},
               {"domain", options_.plan.domain},
               {"state", going_down_ ? "going down" : "running"},
               {"keeper", ::getpid()},
               {"folder", options_.folders.disk},
               {"machines", std::move(machines)},
               {"cuts", std::move(cuts)}};
  if (forwarder_ > 0) json["url"] = fmt::format("http://127.0.0.1:{}", loopback_port_);
  return dump(json);
}

}  // namespace terrace::lab
