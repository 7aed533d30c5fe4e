#include "cluster/shared.h"

#include <nlohmann/json.hpp>

#include "cluster/json_members.h"
#include "cluster/placement.h"

namespace terrace::cluster {
namespace {

using Json = nlohmann::json;
using Members = JsonMembers<Json>;

constexpr size_t kNameBytesMax = 256;
constexpr size_t kLineBytesMax = 4096;

std::string text_of(const Json& json) { return json.dump(-1, ' ', false, Json::error_handler_t::replace); }

uint32_t release_number(Members& members, const char* name) {
  const int64_t number = members.number(name);
  if (number > UINT32_MAX) members.refuse();
  return static_cast<uint32_t>(number);
}

std::vector<uint32_t> release_numbers(Members& members, const char* name, size_t count_max) {
  std::vector<uint32_t> all;
  const Json* list = members.list(name, count_max);
  if (list == nullptr) return all;
  for (const Json& each : *list) {
    if (!each.is_number_unsigned() || each.get<uint64_t>() > UINT32_MAX) {
      members.refuse();
      return {};
    }
    all.push_back(each.get<uint32_t>());
  }
  return all;
}

std::vector<std::string> texts(Members& members, const char* name, size_t count_max, size_t bytes_max) {
  std::vector<std::string> all;
  const Json* list = members.list(name, count_max);
  if (list == nullptr) return all;
  for (const Json& each : *list) {
    const auto* text = each.get_ptr<const std::string*>();
    if (text == nullptr || text->size() > bytes_max) {
      members.refuse();
      return {};
    }
    all.push_back(*text);
  }
  return all;
}

template <class Value>
Result<Value> checked(const Members& members, Value value) {
  if (!members.good()) return fail(Code::kInvalid, "shared state", "an entry is not what Terrace writes");
  return value;
}

}  // namespace

std::string history_key(int64_t version) { return "history/" + std::to_string(version); }

std::string drain_key(std::string_view server) { return "drains/" + std::string(server); }

void SharedRelease::serve(uint32_t number) {
  if (number == current()) return;
  if (number == previous()) return served.pop_back();
  std::erase(served, number);
  served.push_back(number);
  if (served.size() > kServedKept) served.erase(served.begin());
}

std::string to_json(const SiteVersion& version) {
  return text_of({{"version", version.version},
                  {"text", version.text},
                  {"by", version.by},
                  {"server", version.server},
                  {"at", version.at},
                  {"id", version.id},
                  {"changed", version.changed}});
}

std::string to_json(const SharedRelease& release) {
  return text_of({{"last", release.last}, {"served", release.served}, {"holders", release.holders}});
}

std::string to_json(const DeployNote& deploy) {
  return text_of({{"release", deploy.release},
                  {"rollback", deploy.rollback},
                  {"phase", deploy.phase},
                  {"by", deploy.by},
                  {"server", deploy.server},
                  {"since", deploy.since},
                  {"id", deploy.id},
                  {"beat", deploy.beat}});
}

Result<SiteVersion> parse_site_version(std::string_view text) {
  const Json json = Json::parse(text, nullptr, false);
  Members members(json);
  SiteVersion version{.version = members.number("version"),
                      .text = members.text("text", kSharedSiteBytesMax),
                      .by = members.text("by", kNameBytesMax),
                      .at = members.number("at")};
  if (version.version == 0) members.refuse();
  // The first version, which the founding made, has no more.
  if (members.has("server")) version.server = members.text("server", kNameBytesMax);
  if (members.has("id")) version.id = members.text("id", kNameBytesMax);
  if (members.has("changed")) version.changed = texts(members, "changed", kChangedLinesMax, kLineBytesMax);
  return checked(members, std::move(version));
}

Result<SharedRelease> parse_shared_release(std::string_view text) {
  const Json json = Json::parse(text, nullptr, false);
  Members members(json);
  SharedRelease release{.last = release_number(members, "last"),
                        .served = release_numbers(members, "served", kServedKept),
                        .holders = texts(members, "holders", kServersMax, kNameBytesMax)};
  return checked(members, std::move(release));
}

Result<DeployNote> parse_deploy_note(std::string_view text) {
  const Json json = Json::parse(text, nullptr, false);
  Members members(json);
  DeployNote deploy{.release = release_number(members, "release"),
                    .rollback = members.boolean("rollback"),
                    .phase = members.text("phase", kNameBytesMax),
                    .by = members.text("by", kNameBytesMax),
                    .server = members.text("server", kNameBytesMax),
                    .since = members.number("since"),
                    .id = members.text("id", kNameBytesMax),
                    .beat = members.number("beat")};
  return checked(members, std::move(deploy));
}

}  // namespace terrace::cluster
