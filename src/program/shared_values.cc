#include "program/shared_values.h"

#include <nlohmann/json.hpp>

#include "certificates/hex.h"
#include "program/json_value.h"
#include "program/traffic_credentials.h"

namespace terrace::program {
namespace {

using Json = nlohmann::json;

int64_t seconds_of(WallTime time) {
  return std::chrono::duration_cast<std::chrono::seconds>(time.time_since_epoch()).count();
}

WallTime time_in(const Json& json, const char* key) {
  return WallTime(std::chrono::seconds(value_of<int64_t>(json, key)));
}

std::string text_of(const Json& json) { return json.dump(-1, ' ', false, Json::error_handler_t::replace); }

// The object, or nothing.
std::optional<Json> object_of(std::string_view text) {
  Json json = Json::parse(text, nullptr, false);
  if (!json.is_object()) return std::nullopt;
  return json;
}

std::unexpected<Error> refuse() { return fail(Code::kInvalid, "shared state", "a value cannot be read"); }

const char* word_of(RotationPhase phase) {
  return phase == RotationPhase::kTrusting  ? "trusting"
         : phase == RotationPhase::kSigning ? "signing"
                                            : "none";
}

RotationPhase phase_of(const std::string& word) {
  return word == "trusting"  ? RotationPhase::kTrusting
         : word == "signing" ? RotationPhase::kSigning
                             : RotationPhase::kNone;
}

Json times_json(const std::map<std::string, WallTime>& times) {
  Json json = Json::object();
  for (const auto& [name, time] : times) json[name] = seconds_of(time);
  return json;
}

std::map<std::string, WallTime> times_in(const Json& json, const char* key) {
  std::map<std::string, WallTime> times;
  for (const auto& [name, seconds] : value_of<std::map<std::string, int64_t>>(json, key))
    times[name] = WallTime(std::chrono::seconds(seconds));
  return times;
}

}  // namespace

std::string server_key(std::string_view server) { return "servers/" + std::string(server); }
std::string token_key(std::string_view id) { return "tokens/" + std::string(id); }

std::string to_json(const AuthorityValue& value) {
  return text_of({{"generation", value.generation},
                  {"bundle", value.bundle},
                  {"holders", value.holders},
                  {"phase", word_of(value.phase)},
                  {"next", value.next},
                  {"next_holder", value.next_holder}});
}

Result<AuthorityValue> parse_authority(std::string_view text) {
  const std::optional<Json> json = object_of(text);
  if (!json) return refuse();
  AuthorityValue value{.generation = value_of<int64_t>(*json, "generation"),
                       .bundle = value_of<std::string>(*json, "bundle"),
                       .holders = value_of<std::vector<std::string>>(*json, "holders"),
                       .phase = phase_of(value_of<std::string>(*json, "phase")),
                       .next = value_of<std::string>(*json, "next"),
                       .next_holder = value_of<std::string>(*json, "next_holder")};
  if (value.generation < 1 || value.bundle.empty()) return refuse();
  return value;
}

std::string to_json(const ServerValue& value) {
  Json certificates = Json::array();
  for (const IssuedCertificate& each : value.certificates) {
    certificates.push_back({{"serial", each.serial}, {"expires", seconds_of(each.expires)}});
    if (each.use == certificates::Use::kTraffic) certificates.back()["use"] = certificates::kTrafficMark;
  }
  return text_of({{"key", value.key},
                  {"joined", seconds_of(value.joined)},
                  {"certificates", certificates},
                  {"trusts", value.trusts},
                  {"signer", value.signer},
                  {"traffic_signer", value.traffic_signer}});
}

Result<ServerValue> parse_server(std::string_view text) {
  const std::optional<Json> json = object_of(text);
  if (!json) return refuse();
  ServerValue value{.key = value_of<std::string>(*json, "key"),
                    .joined = time_in(*json, "joined"),
                    .certificates = {},
                    .trusts = value_of<std::vector<std::string>>(*json, "trusts"),
                    .signer = value_of<std::string>(*json, "signer"),
                    .traffic_signer = value_of<std::string>(*json, "traffic_signer")};
  for (const Json& each : value_of<std::vector<Json>>(*json, "certificates")) {
    if (!each.is_object()) return refuse();
    const bool traffic = value_of<std::string>(each, "use") == certificates::kTrafficMark;
    value.certificates.push_back({.serial = value_of<std::string>(each, "serial"),
                                  .expires = time_in(each, "expires"),
                                  .use = traffic ? certificates::Use::kTraffic : certificates::Use::kServer});
  }
  return value;
}

std::string to_json(const TokenValue& value) {
  return text_of({{"server", value.server},
                  {"hash", value.hash},
                  {"expires", seconds_of(value.expires)},
                  {"key", value.key}});
}

Result<TokenValue> parse_token(std::string_view text) {
  const std::optional<Json> json = object_of(text);
  if (!json) return refuse();
  TokenValue value{.server = value_of<std::string>(*json, "server"),
                   .hash = value_of<std::string>(*json, "hash"),
                   .expires = time_in(*json, "expires"),
                   .key = value_of<std::string>(*json, "key")};
  if (value.server.empty() || value.hash.empty()) return refuse();
  return value;
}

std::string to_json(const RevokedValue& value) {
  return text_of({{"serials", times_json(value.serials)}, {"servers", times_json(value.servers)}});
}

Result<RevokedValue> parse_revoked(std::string_view text) {
  const std::optional<Json> json = object_of(text);
  if (!json) return refuse();
  return RevokedValue{.serials = times_in(*json, "serials"), .servers = times_in(*json, "servers")};
}

std::string to_json(const SiteValue& value) {
  return text_of(
      {{"version", value.version}, {"text", value.text}, {"by", value.by}, {"at", seconds_of(value.at)}});
}

Result<SiteValue> parse_site(std::string_view text) {
  const std::optional<Json> json = object_of(text);
  if (!json) return refuse();
  return SiteValue{.version = value_of<int64_t>(*json, "version"),
                   .text = value_of<std::string>(*json, "text"),
                   .by = value_of<std::string>(*json, "by"),
                   .at = time_in(*json, "at")};
}

std::string to_json(const SecretVersions& versions) {
  Json json = Json::object();
  for (const auto& [name, each] : versions)
    json[name] = {{"version", each.version}, {"removed", each.removed}};
  return text_of(json);
}

Result<SecretVersions> parse_secret_versions(std::string_view text) {
  const std::optional<Json> json = object_of(text);
  if (!json) return refuse();
  SecretVersions versions;
  for (const auto& [name, each] : json->items()) {
    if (!each.is_object()) return refuse();
    versions[name] = {.version = value_of<int64_t>(each, "version"),
                      .removed = value_of<bool>(each, "removed")};
  }
  return versions;
}

std::string sticky_json(std::string_view secret) { return text_of({{"secret", secret}}); }

Result<std::string> parse_sticky(std::string_view text) {
  const std::optional<Json> json = object_of(text);
  std::string secret = json ? value_of<std::string>(*json, "secret") : "";
  std::array<uint8_t, kStickySecretBytes> bytes{};
  if (!certificates::read_hex(secret, bytes)) return refuse();
  return secret;
}

}  // namespace terrace::program
