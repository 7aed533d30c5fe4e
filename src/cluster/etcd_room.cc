#include "cluster/etcd_room.h"

#include <charconv>
#include <nlohmann/json.hpp>
#include <utility>

namespace terrace::cluster {
namespace {

using Json = nlohmann::json;

// As the gateway tells it: 64-bit numbers are strings.
struct Status {
  std::string member;
  std::string revision;
  int64_t bytes = 0;
  bool full = false;
};

std::string text_in(const Json& json, const char* name) {
  const auto found = json.is_object() ? json.find(name) : json.end();
  return json.is_object() && found != json.end() && found->is_string() ? found->get<std::string>() : "";
}

std::optional<Status> parse_status(std::string_view body) {
  const Json json = Json::parse(body, nullptr, false);
  if (!json.is_object() || !json.contains("header")) return std::nullopt;
  Status status{.member = text_in(json["header"], "member_id"),
                .revision = text_in(json["header"], "revision")};
  const std::string bytes = text_in(json, "dbSize");
  const auto [end, error] = std::from_chars(bytes.data(), bytes.data() + bytes.size(), status.bytes);
  if (error != std::errc() || status.member.empty() || status.revision.empty()) return std::nullopt;
  const auto errors = json.find("errors");
  status.full = errors != json.end() && errors->dump().find("NOSPACE") != std::string::npos;
  return status;
}

Task<Result<std::string>> ask(EtcdClient& client, const char* path, std::string body, Time deadline) {
  Result<EtcdClient::Answer> answer = co_await client.post(path, std::move(body), deadline);
  if (!answer) co_return std::unexpected(answer.error());
  if (answer->status != 200) co_return fail(Code::kUnavailable, "etcd", "it cannot make room now");
  co_return std::move(answer->body);
}

}  // namespace

Task<Result<void>> make_room(EtcdClient& client, int64_t quota, Time deadline) {
  const Result<std::string> told = co_await ask(client, "/v3/maintenance/status", "{}", deadline);
  if (!told) co_return std::unexpected(told.error());
  const std::optional<Status> status = parse_status(*told);
  if (!status) co_return fail(Code::kInvalid, "etcd", "an odd answer");
  if (!status->full && status->bytes < quota / 2) co_return Result<void>();
  // Refused when another voter has just done it: then it is done.
  std::string all = Json{{"revision", status->revision}, {"physical", true}}.dump();
  const Result<std::string> dropped = co_await ask(client, "/v3/kv/compaction", std::move(all), deadline);
  (void)dropped;
  const Result<std::string> given = co_await ask(client, "/v3/maintenance/defragment", "{}", deadline);
  if (!given) co_return std::unexpected(given.error());
  if (!status->full) co_return Result<void>();
  std::string lift =
      Json{{"action", "DEACTIVATE"}, {"memberID", status->member}, {"alarm", "NOSPACE"}}.dump();
  const Result<std::string> lifted = co_await ask(client, "/v3/maintenance/alarm", std::move(lift), deadline);
  if (!lifted) co_return std::unexpected(lifted.error());
  co_return Result<void>();
}

}  // namespace terrace::cluster
