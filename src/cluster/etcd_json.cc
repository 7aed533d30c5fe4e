#include "cluster/etcd_json.h"

#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>

#include "cluster/base64.h"
#include "cluster/state_json.h"

namespace terrace::cluster {
namespace {

using Json = nlohmann::json;

std::string entry_key(std::string_view key) { return std::string(kEtcdEntries) + std::string(key); }

// The first key after all that begin with `prefix`, which ends with no byte 0xff.
std::string end_of(std::string prefix) {
  ++prefix.back();
  return prefix;
}

Json range_of_key(std::string_view key) { return {{"key", to_base64(key)}}; }

Json range_of_prefix(const std::string& prefix) {
  return {{"key", to_base64(prefix)}, {"range_end", to_base64(end_of(prefix))}};
}

Json range_request(Json range) { return {{"requestRange", std::move(range)}}; }

Json unchanged(std::string_view key, int64_t revision) {
  return {{"key", to_base64(key)},
          {"target", "MOD"},
          {"result", "EQUAL"},
          {"mod_revision", std::to_string(revision)}};
}

Json put_request(std::string_view key, std::string_view value) {
  return {{"requestPut", {{"key", to_base64(key)}, {"value", to_base64(value)}}}};
}

Json write_request(const Write& write) {
  const std::string key = entry_key(write.key);
  if (write.value) return put_request(key, *write.value);
  return {{"requestDeleteRange", {{"key", to_base64(key)}}}};
}

std::unexpected<Error> odd() { return fail(Code::kInvalid, "etcd", "an answer not in its form"); }

const Json* member(const Json& json, const char* name) {
  if (!json.is_object()) return nullptr;
  const auto found = json.find(name);
  return found == json.end() ? nullptr : &*found;
}

// A number as the gateway writes it; 0 when it is left out. False when it is none.
template <class T>
bool read_number(const Json& json, const char* name, T& into) {
  const Json* value = member(json, name);
  into = 0;
  if (value == nullptr) return true;
  const auto* text = value->get_ptr<const std::string*>();
  if (text == nullptr) return false;
  const auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), into);
  return error == std::errc() && end == text->data() + text->size();
}

bool read_text(const Json& json, const char* name, std::string& into) {
  const Json* value = member(json, name);
  if (value == nullptr) return true;
  const auto* text = value->get_ptr<const std::string*>();
  if (text != nullptr) into = *text;
  return text != nullptr;
}

bool read_bytes(const Json& json, const char* name, std::string& into) {
  std::string text;
  if (!read_text(json, name, text)) return false;
  std::optional<std::string> bytes = from_base64(text);
  if (bytes) into = std::move(*bytes);
  return bytes.has_value();
}

bool read_boolean(const Json& json, const char* name, bool& into) {
  const Json* value = member(json, name);
  into = false;
  if (value == nullptr) return true;
  if (value->is_boolean()) into = value->get<bool>();
  return value->is_boolean();
}

bool read_entry(const Json& json, EtcdEntry& entry) {
  return json.is_object() && read_bytes(json, "key", entry.key) && read_bytes(json, "value", entry.value) &&
         read_number(json, "mod_revision", entry.revision) && entry.revision > 0;
}

bool read_range(const Json& range, std::vector<EtcdEntry>& entries) {
  const Json* list = member(range, "kvs");
  if (list == nullptr) return range.is_object();
  if (!list->is_array()) return false;
  return std::ranges::all_of(*list, [&](const Json& one) { return read_entry(one, entries.emplace_back()); });
}

bool read_ranges(const Json& json, EtcdAnswer& answer) {
  const Json* responses = member(json, "responses");
  if (responses == nullptr) return true;
  if (!responses->is_array()) return false;
  for (const Json& response : *responses) {
    const Json* range = member(response, "response_range");
    if (range != nullptr && !read_range(*range, answer.ranges.emplace_back())) return false;
  }
  return true;
}

Json parse(std::string_view body) { return Json::parse(body, nullptr, false); }

}  // namespace

std::string etcd_commit(const Commit& commit, const EtcdView& view) {
  Json compare = Json::array();
  compare.push_back(unchanged(kEtcdPlacement, view.revision));
  for (const Condition& condition : commit.conditions) {
    const int64_t revision = condition.version == 0 ? 0 : condition.version - view.placement.base;
    compare.push_back(unchanged(entry_key(condition.key), revision));
  }
  Json writes = Json::array();
  for (const Write& write : commit.writes) writes.push_back(write_request(write));
  const Json failure = Json::array({range_request(range_of_key(kEtcdPlacement))});
  return Json{{"compare", compare}, {"success", writes}, {"failure", failure}}.dump();
}

bool etcd_refuses(const Commit& commit, const EtcdView& view) {
  return std::ranges::any_of(commit.conditions, [&](const Condition& condition) {
    return condition.version != 0 && condition.version <= view.placement.base;
  });
}

std::string etcd_get(std::string_view key) {
  const Json ranges =
      Json::array({range_request(range_of_key(kEtcdPlacement)), range_request(range_of_key(entry_key(key)))});
  return Json{{"success", ranges}}.dump();
}

std::string etcd_list(std::string_view prefix) {
  const Json ranges = Json::array(
      {range_request(range_of_key(kEtcdPlacement)), range_request(range_of_prefix(entry_key(prefix)))});
  return Json{{"success", ranges}}.dump();
}

std::string etcd_changes(int64_t revision) {
  Json placement = range_of_key(kEtcdPlacement);
  Json changed = range_of_prefix(std::string(kEtcdEntries));
  Json keys = changed;
  changed["min_mod_revision"] = std::to_string(revision + 1);
  keys["keys_only"] = true;
  for (Json* range : {&placement, &changed, &keys}) (*range)["serializable"] = true;
  const Json ranges = Json::array({range_request(placement), range_request(changed), range_request(keys)});
  return Json{{"success", ranges}}.dump();
}

std::string etcd_revision(bool newest) {
  Json range = range_of_key(kEtcdPlacement);
  range["count_only"] = true;
  range["serializable"] = !newest;
  return range.dump();
}

std::string etcd_put_key(std::string_view key, std::string_view value, int64_t revision) {
  const Json compare = Json::array({unchanged(key, revision)});
  const Json success = Json::array({put_request(key, value)});
  const Json failure = Json::array({range_request(range_of_key(key))});
  return Json{{"compare", compare}, {"success", success}, {"failure", failure}}.dump();
}

std::string etcd_read_key(std::string_view key) {
  return Json{{"success", Json::array({range_request(range_of_key(key))})}}.dump();
}

std::string etcd_attempt_clear(int64_t attempt) {
  const Json all = range_of_prefix(std::string(kEtcdEntries));
  return Json{{"compare", Json::array({unchanged(kEtcdAttempt, attempt)})},
              {"success", Json::array({Json{{"requestDeleteRange", all}}})}}
      .dump();
}

std::string etcd_attempt_copy(std::span<const Entry> entries, int64_t attempt) {
  Json puts = Json::array();
  for (const Entry& entry : entries) puts.push_back(put_request(entry_key(entry.key), entry.value));
  return Json{{"compare", Json::array({unchanged(kEtcdAttempt, attempt)})}, {"success", puts}}.dump();
}

std::string etcd_attempt_end(const Placement& placement, int64_t placement_revision, int64_t attempt) {
  const Json compare =
      Json::array({unchanged(kEtcdAttempt, attempt), unchanged(kEtcdPlacement, placement_revision)});
  return Json{{"compare", compare},
              {"success", Json::array({put_request(kEtcdPlacement, to_json(placement))})}}
      .dump();
}

Result<EtcdAnswer> parse_etcd_answer(std::string_view body) {
  const Json json = parse(body);
  const Json* header = member(json, "header");
  EtcdAnswer answer;
  if (header == nullptr || !read_number(*header, "revision", answer.revision) || answer.revision < 1 ||
      !read_boolean(json, "succeeded", answer.succeeded) || !read_ranges(json, answer)) {
    return odd();
  }
  return answer;
}

EtcdFailure parse_etcd_failure(std::string_view body) {
  constexpr size_t kTextMax = 200;
  const Json json = parse(body);
  EtcdFailure failure;
  const Json* code = member(json, "code");
  if (code != nullptr && code->is_number_integer()) failure.code = code->get<int>();
  if (!read_text(json, "error", failure.text)) failure.text.clear();
  failure.text.resize(std::min(failure.text.size(), kTextMax));
  return failure;
}

Error meaning_of(const EtcdFailure& failure) {
  // gRPC's codes.
  constexpr int kInvalidArgument = 3;
  constexpr int kResourceExhausted = 8;
  if (failure.code == kInvalidArgument)
    return {.code = Code::kInvalid, .place = "etcd", .text = "etcd refuses the request"};
  // Decided before anything is proposed to the other members.
  if (failure.code == kResourceExhausted && failure.text == "etcdserver: too many requests")
    return {.code = Code::kUnavailable, .place = "etcd", .text = "etcd has too much to do"};
  // That it is full is said of the transaction that filled it, too, which stands (quotaApplierV3
  // of etcd 3.4).
  if (failure.code == kResourceExhausted)
    return {.code = Code::kTimeout, .place = "etcd", .text = "etcd is full"};
  return {.code = Code::kTimeout, .place = "etcd", .text = "etcd could not say"};
}

Result<EtcdView> etcd_view(const EtcdAnswer& answer) {
  if (answer.ranges.empty() || answer.ranges[0].size() > 1) return odd();
  EtcdView view;
  if (answer.ranges[0].empty()) return view;
  const Result<Placement> placement = parse_placement(answer.ranges[0][0].value);
  if (!placement) return std::unexpected(placement.error());
  view.placement = *placement;
  view.revision = answer.ranges[0][0].revision;
  return view;
}

Result<std::vector<Entry>> etcd_entries(const std::vector<EtcdEntry>& range, Version base) {
  std::vector<Entry> entries;
  for (const EtcdEntry& one : range) {
    if (!one.key.starts_with(kEtcdEntries)) return odd();
    std::string key = one.key.substr(kEtcdEntries.size());
    if (!is_key(key) || one.value.size() > kValueBytesMax) return odd();
    entries.push_back({std::move(key), one.value, base + one.revision});
  }
  return entries;
}

Result<std::vector<EtcdMember>> parse_etcd_members(std::string_view body) {
  const Json json = parse(body);
  const Json* list = member(json, "members");
  if (list == nullptr || !list->is_array() || list->size() > kServersMax) return odd();
  std::vector<EtcdMember> members;
  for (const Json& one : *list) {
    EtcdMember& next = members.emplace_back();
    const Json* urls = member(one, "peerURLs");
    if (!read_number(one, "ID", next.id) || !read_text(one, "name", next.name) ||
        !read_boolean(one, "isLearner", next.learner) || urls == nullptr || !urls->is_array() ||
        urls->empty() || !urls->front().is_string()) {
      return odd();
    }
    next.peer_url = urls->front().get<std::string>();
  }
  return members;
}

}  // namespace terrace::cluster
