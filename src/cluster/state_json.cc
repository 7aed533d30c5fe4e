#include "cluster/state_json.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "cluster/base64.h"
#include "cluster/json_members.h"

namespace terrace::cluster {
namespace {

using Json = nlohmann::json;
using Members = JsonMembers<Json>;

// Of the texts for people; longer ones are cut.
constexpr size_t kTextBytesMax = 1024;

std::string dump(const Json& json) { return json.dump(-1, ' ', false, Json::error_handler_t::replace); }

Json json_of(const Entry& entry) {
  return {{"key", entry.key}, {"value", to_base64(entry.value)}, {"version", entry.version}};
}

Json json_of(const std::vector<Entry>& entries) {
  Json list = Json::array();
  for (const Entry& entry : entries) list.push_back(json_of(entry));
  return list;
}

Json json_of(const Snapshot& snapshot) {
  return {{"version", snapshot.version}, {"entries", json_of(snapshot.entries)}};
}

Json json_of(const Changes& changes) {
  return {{"version", changes.version},
          {"whole", changes.whole},
          {"entries", json_of(changes.entries)},
          {"removed", changes.removed}};
}

Json json_of(const std::vector<Write>& writes) {
  Json list = Json::array();
  for (const Write& write : writes) {
    list.push_back(write.value ? Json{{"key", write.key}, {"value", to_base64(*write.value)}}
                               : Json{{"key", write.key}, {"removed", true}});
  }
  return list;
}

Json json_of(const Commit& commit) {
  Json conditions = Json::array();
  for (const Condition& condition : commit.conditions)
    conditions.push_back({{"key", condition.key}, {"version", condition.version}});
  return {{"conditions", conditions}, {"writes", json_of(commit.writes)}};
}

Json json_of(const Placement& placement) {
  return {{"generation", placement.generation},
          {"keeper", name_of(placement.keeper)},
          {"holders", placement.holders},
          {"base", placement.base}};
}

// Each reader refuses the members it stands in when what it reads is not right.

std::string read_key(Members& members, const char* name) {
  std::string key = members.text(name, kKeyBytesMax);
  if (!is_key(key)) members.refuse();
  return key;
}

std::string read_value(Members& members) {
  const std::string text = members.text("value", (kValueBytesMax + 2) / 3 * 4);
  std::optional<std::string> value = from_base64(text);
  if (!value || value->size() > kValueBytesMax) return members.refuse(), std::string();
  return std::move(*value);
}

bool read(const Json& json, Entry& entry) {
  Members members(json);
  entry.key = read_key(members, "key");
  entry.value = read_value(members);
  entry.version = members.number("version");
  return members.complete() && entry.version > 0;
}

// Entries stand in the order of their keys, each key once.
void read_entries(Members& members, std::vector<Entry>& entries) {
  const Json* list = members.list("entries", kEntriesMax);
  if (list == nullptr) return;
  for (const Json& one : *list) {
    Entry& entry = entries.emplace_back();
    if (!read(one, entry)) members.refuse();
    if (entries.size() > 1 && entries[entries.size() - 2].key >= entry.key) members.refuse();
  }
}

bool read(const Json& json, Snapshot& snapshot) {
  Members members(json);
  snapshot.version = members.number("version");
  read_entries(members, snapshot.entries);
  return members.complete();
}

bool read(const Json& json, Changes& changes) {
  Members members(json);
  changes.version = members.number("version");
  changes.whole = members.boolean("whole");
  read_entries(members, changes.entries);
  const Json* removed = members.list("removed", kEntriesMax);
  if (removed == nullptr) return false;
  for (const Json& key : *removed) {
    if (!key.is_string() || !is_key(key.get_ref<const std::string&>())) return false;
    changes.removed.push_back(key.get<std::string>());
  }
  return members.complete();
}

bool read(const Json& json, Write& write) {
  Members members(json);
  write.key = read_key(members, "key");
  if (members.has("removed")) return members.boolean("removed") && members.complete();
  write.value = read_value(members);
  return members.complete();
}

void read_writes(Members& members, std::vector<Write>& writes) {
  const Json* list = members.list("writes", kCommitPartsMax);
  if (list == nullptr) return;
  for (const Json& one : *list) {
    if (!read(one, writes.emplace_back())) members.refuse();
  }
}

bool read(const Json& json, Commit& commit) {
  Members members(json);
  read_writes(members, commit.writes);
  const Json* list = members.list("conditions", kCommitPartsMax);
  if (list == nullptr) return false;
  for (const Json& one : *list) {
    Members condition(one);
    commit.conditions.push_back({.key = read_key(condition, "key"), .version = condition.number("version")});
    if (!condition.complete()) return false;
  }
  return members.complete() && objection_to(commit) == nullptr;
}

bool read(const Json& json, Placement& placement) {
  Members members(json);
  placement.generation = members.number("generation");
  const std::string keeper = members.text("keeper", kTextBytesMax);
  if (keeper != name_of(Keeper::kEtcd) && keeper != name_of(Keeper::kCoordinator)) return false;
  placement.keeper = keeper == name_of(Keeper::kEtcd) ? Keeper::kEtcd : Keeper::kCoordinator;
  placement.base = members.number("base");
  const Json* list = members.list("holders", kServersMax);
  if (list == nullptr) return false;
  for (const Json& one : *list) {
    if (!one.is_string() || !is_key(one.get_ref<const std::string&>())) return false;
    placement.holders.push_back(one.get<std::string>());
  }
  return members.complete();
}

template <class T>
void read_member(Members& members, const char* name, T& into) {
  const Json* json = members.any(name);
  if (json != nullptr && !read(*json, into)) members.refuse();
}

std::string read_prefix(Members& members) {
  std::string prefix = members.text("prefix", kKeyBytesMax);
  if (!is_prefix(prefix)) members.refuse();
  return prefix;
}

StateRequest read_request(const std::string& ask, Members& members) {
  if (ask == "get") return GetRequest{read_key(members, "key")};
  if (ask == "list") return ListRequest{read_prefix(members)};
  if (ask == "where") return WhereRequest{};
  if (ask == "watch") {
    WatchRequest watch{.prefix = read_prefix(members), .since = members.number("since")};
    watch.wait = std::chrono::milliseconds(members.number("wait_ms"));
    if (watch.wait > kWatchWaitMax) members.refuse();
    return watch;
  }
  if (ask == "commit") {
    Commit commit;
    read_member(members, "commit", commit);
    return commit;
  }
  TakeRequest take;
  if (ask != "take") members.refuse();
  read_member(members, "placement", take.placement);
  read_member(members, "snapshot", take.snapshot);
  return take;
}

Committed read_committed(Members& members) {
  Committed committed;
  const std::string name = members.text("outcome", kTextBytesMax);
  bool known = false;
  for (int i = 0; i <= static_cast<int>(Outcome::kInvalid); ++i) {
    if (name != name_of(static_cast<Outcome>(i))) continue;
    committed.outcome = static_cast<Outcome>(i);
    known = true;
  }
  if (!known) members.refuse();
  if (committed.done()) {
    committed.version = members.number("version");
  } else {
    committed.text = members.text("text", kTextBytesMax);
  }
  return committed;
}

StateAnswer read_answer(Members& members) {
  if (members.has("error")) {
    Unanswered unanswered;
    if (members.text("error", kTextBytesMax) != "unavailable") members.refuse();
    unanswered.text = members.text("text", kTextBytesMax);
    if (members.has("placement")) {
      read_member(members, "placement", unanswered.elsewhere);
      if (unanswered.elsewhere.generation == 0) members.refuse();
    }
    return unanswered;
  }
  if (members.has("outcome")) return read_committed(members);
  if (members.has("nothing")) {
    if (!members.boolean("nothing")) members.refuse();
    return Nothing{};
  }
  if (members.has("entry")) {
    Entry entry;
    const Json* json = members.any("entry");
    if (json->is_null()) return Absent{};
    if (!read(*json, entry)) members.refuse();
    return entry;
  }
  if (members.has("snapshot")) {
    Snapshot snapshot;
    read_member(members, "snapshot", snapshot);
    return snapshot;
  }
  if (members.has("changes")) {
    Changes changes;
    read_member(members, "changes", changes);
    return changes;
  }
  Placement placement;
  read_member(members, "placement", placement);
  return placement;
}

Json parse(std::string_view text) {
  if (text.size() > kStateTextBytesMax) return Json();
  return Json::parse(text, nullptr, false);
}

std::unexpected<Error> refused(const char* place) { return fail(Code::kInvalid, place, "not in its form"); }

struct RequestWriter {
  Json operator()(const GetRequest& get) const { return {{"ask", "get"}, {"key", get.key}}; }
  Json operator()(const ListRequest& list) const { return {{"ask", "list"}, {"prefix", list.prefix}}; }
  Json operator()(const Commit& commit) const { return {{"ask", "commit"}, {"commit", json_of(commit)}}; }
  Json operator()(const WatchRequest& watch) const {
    return {
        {"ask", "watch"}, {"prefix", watch.prefix}, {"since", watch.since}, {"wait_ms", watch.wait.count()}};
  }
  Json operator()(const WhereRequest&) const { return {{"ask", "where"}}; }
  Json operator()(const TakeRequest& take) const {
    return {{"ask", "take"}, {"placement", json_of(take.placement)}, {"snapshot", json_of(take.snapshot)}};
  }
};

struct AnswerWriter {
  Json operator()(const Unanswered& unanswered) const {
    Json json = {{"error", "unavailable"}, {"text", unanswered.text.substr(0, kTextBytesMax)}};
    if (unanswered.elsewhere.generation != 0) json["placement"] = json_of(unanswered.elsewhere);
    return json;
  }
  Json operator()(const Absent&) const { return {{"entry", nullptr}}; }
  Json operator()(const Entry& entry) const { return {{"entry", json_of(entry)}}; }
  Json operator()(const Snapshot& snapshot) const { return {{"snapshot", json_of(snapshot)}}; }
  Json operator()(const Committed& committed) const {
    Json json = {{"outcome", name_of(committed.outcome)}};
    if (committed.done()) {
      json["version"] = committed.version;
    } else {
      json["text"] = committed.text.substr(0, kTextBytesMax);
    }
    return json;
  }
  Json operator()(const Changes& changes) const { return {{"changes", json_of(changes)}}; }
  Json operator()(const Nothing&) const { return {{"nothing", true}}; }
  Json operator()(const Placement& placement) const { return {{"placement", json_of(placement)}}; }
};

}  // namespace

std::string to_json(const StateRequest& request) { return dump(std::visit(RequestWriter{}, request)); }
std::string to_json(const StateAnswer& answer) { return dump(std::visit(AnswerWriter{}, answer)); }
std::string to_json(const Placement& placement) { return dump(json_of(placement)); }

Result<StateRequest> parse_state_request(std::string_view text) {
  const Json json = parse(text);
  Members members(json);
  StateRequest request = read_request(members.text("ask", kTextBytesMax), members);
  if (!members.complete()) return refused("state request");
  return request;
}

Result<StateAnswer> parse_state_answer(std::string_view text) {
  const Json json = parse(text);
  Members members(json);
  StateAnswer answer = read_answer(members);
  if (!members.complete()) return refused("state answer");
  return answer;
}

Result<Placement> parse_placement(std::string_view text) {
  const Json json = parse(text);
  Placement placement;
  if (!read(json, placement)) return refused("placement");
  return placement;
}

std::string to_json(const Record& record) {
  Json json = Json::object();
  if (record.begin) json["begin"] = json_of(*record.begin);
  if (record.version > 0) json["version"] = record.version;
  if (record.version > 0) json["writes"] = json_of(record.writes);
  if (record.placement) json["placement"] = json_of(*record.placement);
  if (record.placement) json["moving"] = record.moving;
  return dump(json);
}

Result<Record> parse_record(std::string_view text) {
  const Json json = parse(text);
  Members members(json);
  Record record;
  if (members.has("begin")) read_member(members, "begin", record.begin.emplace());
  if (members.has("version")) {
    record.version = members.number("version");
    read_writes(members, record.writes);
    if (record.version == 0 || record.writes.empty()) members.refuse();
  }
  if (members.has("placement")) {
    read_member(members, "placement", record.placement.emplace());
    record.moving = members.boolean("moving");
  }
  if (!members.complete() || json.empty()) return refused("journal record");
  return record;
}

}  // namespace terrace::cluster
