#include "program/handover.h"

#include <fcntl.h>
#include <fmt/format.h>

#include <charconv>
#include <nlohmann/json.hpp>

namespace terrace::program {
namespace {

using Json = nlohmann::json;

std::string hex_of(const Tag& tag) {
  std::string text;
  for (const uint8_t byte : tag.bytes) text += fmt::format("{:02x}", byte);
  return text;
}

Tag tag_of(std::string_view hex) {
  Tag tag;
  for (size_t i = 0; i < tag.bytes.size() && 2 * i + 2 <= hex.size(); ++i)
    std::from_chars(hex.data() + 2 * i, hex.data() + 2 * i + 2, tag.bytes[i], 16);
  return tag;
}

// ---- out

Json json_of(const Handover::Child& child) {
  return {{"pid", child.pid}, {"starts", child.starts}, {"channel", child.channel}, {"told", child.told}};
}

Json json_of(const Handover::Socket& each) {
  return {{"purpose", std::string(word_of(each.purpose))},
          {"requested", each.requested},
          {"bound", each.bound},
          {"sockets", each.sockets}};
}

Json json_of(const InstanceEnded& ended) {
  return {{"status", ended.status},
          {"out_of_memory", ended.out_of_memory},
          {"error", std::string(ended.error.view())}};
}

Json json_of(const Handover::Instance& each) {
  const InstanceRunning& record = each.record;
  Json json = {{"slot", record.slot},
               {"generation", record.generation},
               {"pid", record.pid},
               {"isolation", static_cast<uint32_t>(record.isolation)},
               {"limits", static_cast<uint32_t>(record.limits)},
               {"started_ns", record.started_ns},
               {"port", record.port},
               {"socket", std::string(record.socket.view())},
               {"tag", hex_of(record.tag)},
               {"output", each.output},
               {"reports", each.reports},
               {"grace_ms", each.grace_ms},
               {"groups", each.groups}};
  if (each.ended) json["ended"] = json_of(*each.ended);
  return json;
}

template <class T>
Json list_of(const std::vector<T>& values) {
  Json list = Json::array();
  for (const T& value : values) list.push_back(json_of(value));
  return list;
}

// ---- in; a key that is absent or of another type throws, and is caught below

Handover::Child child_of(const Json& json) {
  return {.pid = json.at("pid"),
          .starts = json.at("starts"),
          .channel = json.at("channel"),
          .told = json.at("told")};
}

Purpose purpose_of(std::string_view word) {
  for (const Purpose purpose : {Purpose::kAdmin, Purpose::kTcp, Purpose::kHop}) {
    if (word == word_of(purpose)) return purpose;
  }
  return Purpose::kWeb;
}

Handover::Socket socket_of(const Json& json) {
  return {.purpose = purpose_of(json.at("purpose").get<std::string>()),
          .requested = json.at("requested"),
          .bound = json.at("bound"),
          .sockets = json.at("sockets")};
}

InstanceEnded ended_of(const Json& json, const InstanceRunning& record) {
  InstanceEnded ended{.slot = record.slot, .generation = record.generation};
  ended.status = json.at("status");
  ended.out_of_memory = json.at("out_of_memory");
  (void)ended.error.set(json.at("error").get<std::string>());
  return ended;
}

Handover::Instance instance_of(const Json& json) {
  Handover::Instance each;
  InstanceRunning& record = each.record;
  record.slot = json.at("slot");
  record.generation = json.at("generation");
  record.pid = json.at("pid");
  record.isolation = static_cast<Isolation>(json.at("isolation").get<uint32_t>());
  record.limits = static_cast<Limits>(json.at("limits").get<uint32_t>());
  record.started_ns = json.at("started_ns");
  record.port = json.at("port");
  (void)record.socket.set(json.at("socket").get<std::string>());
  record.tag = tag_of(json.at("tag").get<std::string>());
  each.output = json.at("output");
  each.reports = json.at("reports");
  each.grace_ms = json.at("grace_ms");
  each.groups = json.at("groups").get<std::vector<std::string>>();
  if (json.contains("ended")) each.ended = ended_of(json["ended"], record);
  return each;
}

Handover handover_of(const Json& json) {
  Handover handover;
  handover.version = json.at("version");
  handover.program = json.at("program");
  handover.upgrades = json.at("upgrades");
  handover.site_path = json.at("site_path");
  handover.server = json.value("server", "");
  const Json& folders = json.at("folders");
  handover.folders = {.state = folders.at("state"), .run = folders.at("run"), .log = folders.at("log")};
  handover.isolation = static_cast<Isolation>(json.at("isolation").get<uint32_t>());
  handover.cores = json.at("cores");
  handover.descriptors = json.at("descriptors");
  handover.serving = json.at("serving");
  handover.lock = json.at("lock");
  handover.controller = child_of(json.at("controller"));
  handover.worker = child_of(json.at("worker"));
  // Versions before servers could be several had none.
  if (json.contains("member")) handover.member = child_of(json["member"]);
  for (const Json& each : json.at("retiring")) handover.retiring.push_back(child_of(each));
  for (const Json& each : json.at("listeners")) handover.listeners.push_back(socket_of(each));
  for (const Json& each : json.at("instances")) handover.instances.push_back(instance_of(each));
  handover.secrets = json.at("secrets");
  handover.left_groups = json.at("left_groups").get<std::vector<std::string>>();
  if (json.contains("site")) {
    const Json& site = json["site"];
    handover.site = Handover::Text{.version = site.at("version"),
                                   .bytes = site.at("bytes"),
                                   .path = site.at("path"),
                                   .text = site.at("text")};
  }
  return handover;
}

}  // namespace

std::string handover_text(const Handover& handover) {
  const Folders& folders = handover.folders;
  Json json = {{"format", kHandoverFormat},
               {"version", handover.version},
               {"program", handover.program},
               {"upgrades", handover.upgrades},
               {"site_path", handover.site_path},
               {"server", handover.server},
               {"folders", {{"state", folders.state}, {"run", folders.run}, {"log", folders.log}}},
               {"isolation", static_cast<uint32_t>(handover.isolation)},
               {"cores", handover.cores},
               {"descriptors", handover.descriptors},
               {"serving", handover.serving},
               {"lock", handover.lock},
               {"controller", json_of(handover.controller)},
               {"worker", json_of(handover.worker)},
               {"member", json_of(handover.member)},
               {"retiring", list_of(handover.retiring)},
               {"listeners", list_of(handover.listeners)},
               {"instances", list_of(handover.instances)},
               {"left_groups", handover.left_groups},
               {"secrets", handover.secrets}};
  if (const auto& site = handover.site)
    json["site"] = {
        {"version", site->version}, {"bytes", site->bytes}, {"path", site->path}, {"text", site->text}};
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

Result<Handover> read_handover(std::string_view text) {
  const Json json = Json::parse(text, nullptr, false);
  if (!json.is_object()) return fail(Code::kInvalid, "handover", "it is not a JSON object");
  try {
    if (json.at("format") != kHandoverFormat)
      return fail(Code::kInvalid, "handover", "its format is not one that this version knows");
    return handover_of(json);
  } catch (const Json::exception&) {
    return fail(Code::kInvalid, "handover", "something that must be in it is missing");
  }
}

std::vector<int> descriptors_of(const Handover& handover) {
  std::vector<int> all = {handover.lock, handover.secrets, handover.controller.channel,
                          handover.worker.channel, handover.member.channel};
  for (const Handover::Child& each : handover.retiring) all.push_back(each.channel);
  for (const Handover::Socket& each : handover.listeners)
    all.insert(all.end(), each.sockets.begin(), each.sockets.end());
  for (const Handover::Instance& each : handover.instances)
    all.insert(all.end(), {each.output, each.reports});
  if (handover.site) all.push_back(handover.site->text);
  std::erase_if(all, [](int fd) { return fd < 0; });
  return all;
}

void keep_over_exec(const Handover& handover, bool keep) {
  for (const int fd : descriptors_of(handover)) ::fcntl(fd, F_SETFD, keep ? 0 : FD_CLOEXEC);
}

}  // namespace terrace::program
