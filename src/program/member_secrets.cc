// The member's part about secrets: their values are on the servers that run the
// application and nowhere else. The shared state says which version of each there is;
// who has an older one, or none, asks another such server.
//
// The files are the supervisor's: the controller has them written (control.h).

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/file.h"
#include "certificates/hex.h"
#include "config/interpolate.h"
#include "program/control.h"
#include "program/control_call.h"
#include "program/json_value.h"
#include "program/member.h"
#include "program/secrets.h"
#include "program/upload.h"

namespace terrace::program {

using Json = nlohmann::json;

namespace {

constexpr int kAttemptsMax = 5;
constexpr size_t kVersionsBytesMax = 64 << 10;
constexpr std::chrono::seconds kStoreTimeout{10};
constexpr std::chrono::milliseconds kStorePause{10};
constexpr std::chrono::seconds kSecretsLook{5};

std::string text_of(const Json& json) { return json.dump(-1, ' ', false, Json::error_handler_t::replace); }

bool runs_application(const topology::Server& server) {
  return std::ranges::find(server.roles, topology::Role::kApp) != server.roles.end();
}

// As one upload of the control socket.
std::string frames_of(std::string_view value) {
  return upload_length(value.size()) + std::string(value) + upload_length(0);
}

// Moves the whole frames of `bytes` into `all`; true when the last one was among them. What
// follows it is no frame and stays.
Result<bool> take_frames(std::string& bytes, std::string& all) {
  constexpr size_t kLengthBytes = 4;
  while (bytes.size() >= kLengthBytes) {
    size_t length = 0;
    for (size_t i = 0; i < kLengthBytes; ++i) length = length << 8 | static_cast<uint8_t>(bytes[i]);
    if (all.size() + length > kPackedSecretsBytesMax) return fail(Code::kLimit, "secrets", "too many");
    if (bytes.size() < kLengthBytes + length) return false;
    all.append(bytes, kLengthBytes, length);
    bytes.erase(0, kLengthBytes + length);
    if (length == 0) return true;
  }
  return false;
}

}  // namespace

// ---- this server

SecretVersions Member::own_secrets() const {
  const Result<std::string> text = read_file(secret_versions_file(folders_), kVersionsBytesMax);
  const Result<SecretVersions> versions = text ? parse_secret_versions(*text) : std::unexpected(text.error());
  return versions.value_or(SecretVersions{});
}

// A value, or none to remove it; then the note that this server has that version. One at a time:
// two that change a secret at once must not leave the older one.
Task<std::string> Member::store_secret(std::string name, int64_t version, std::optional<std::string> value) {
  const Time deadline = reactor_.now() + kStoreTimeout;
  while (storing_secret_ && reactor_.now() < deadline) co_await sleep(reactor_, kStorePause);
  if (storing_secret_) co_return "others write at the same time; try again";
  if (own_secrets()[name].version > version) co_return "";
  storing_secret_ = true;
  std::string problem = co_await store_secret_alone(name, version, std::move(value), deadline);
  storing_secret_ = false;
  co_return problem;
}

Task<std::string> Member::store_secret_alone(std::string name, int64_t version,
                                             std::optional<std::string> value, Time deadline) {
  const Json question = {{"command", value ? "store-secret" : "remove-secret"}, {"name", name}};
  ControlCall call(reactor_);
  Result<void> asked = co_await call.ask(control_socket(folders_), text_of(question), deadline);
  if (asked && value) {
    const std::string frames = frames_of(*value);
    asked = co_await call.send(frames);
  }
  if (!asked) co_return describe(asked.error());
  const Result<std::string> answer = co_await call.line(deadline);
  if (!answer) co_return describe(answer.error());
  if (!is_good(*answer)) co_return error_in(*answer);
  SecretVersions versions = own_secrets();
  versions[name] = {.version = version, .removed = !value};
  const Result<void> noted = write_file(secret_versions_file(folders_), to_json(versions), 0600);
  co_return noted ? "" : describe(noted.error());
}

// All of this server's, as SecretFolder::pack() writes them.
Task<Result<std::string>> Member::read_secrets() {
  const Time deadline = reactor_.now() + kStoreTimeout;
  ControlCall call(reactor_);
  const Result<void> asked =
      co_await call.ask(control_socket(folders_), R"({"command":"read-secrets"})", deadline);
  if (!asked) co_return std::unexpected(asked.error());
  const Result<std::string> ready = co_await call.line(deadline);
  if (!ready) co_return std::unexpected(ready.error());
  if (!value_of<bool>(Json::parse(*ready, nullptr, false), "ready"))
    co_return fail(Code::kUnavailable, "secrets", "the controller does not hand them out");
  std::string bytes;
  std::string all;
  for (;;) {
    const Result<bool> complete = take_frames(bytes, all);
    if (!complete) co_return std::unexpected(complete.error());
    if (*complete) co_return all;
    const Result<std::string> more = co_await call.bytes(deadline);
    if (!more) co_return more;
    if (more->empty()) co_return fail(Code::kClosed, "secrets");
    bytes += *more;
  }
}

// ---- people

// {"command": "change-secret", "name": "TOKEN", "value_hex": "…"}; without a value it is removed.
Task<std::string> Member::answer_change_secret(std::string line, Conversation& conversation) {
  const Json json = Json::parse(line, nullptr, false);
  const auto name = value_of<std::string>(json, "name");
  const auto hex = value_of<std::string>(json, "value_hex");
  if (!identity_) co_return failure_line(why_not_);
  std::optional<std::string> value;
  if (!hex.empty()) {
    std::vector<uint8_t> bytes(hex.size() / 2);
    if (!certificates::read_hex(hex, bytes)) co_return failure_line("the value cannot be read");
    value.emplace(bytes.begin(), bytes.end());
  }
  if (!config::is_secret_name(name) || (value && !wrong_with_secret(*value).empty()))
    co_return failure_line("this is no secret");
  int64_t version = 0;
  const std::string problem = co_await raise_secret(name, !value, version);
  if (!problem.empty()) co_return failure_line(problem);
  const std::shared_ptr<const topology::Site> site = site_;
  Json behind = Json::array();
  int have = 0;
  for (const topology::Server& server : site->servers) {
    if (!runs_application(server)) continue;
    const std::string refused = co_await give_secret(server.name, name, version, value);
    have += refused.empty() ? 1 : 0;
    if (!refused.empty()) behind.push_back(server.name);
    if (!refused.empty()) conversation.progress(server.name, refused);
  }
  if (have == 0) co_return failure_line("no server could be given the secret");
  log_.info("a secret was changed", {{"name", name}, {"version", version}});
  co_return text_of({{"ok", true}, {"version", version}, {"behind", behind}});
}

// The next version of the name, in the shared state.
Task<std::string> Member::raise_secret(std::string name, bool removed, int64_t& version) {
  for (int attempt = 0; attempt < kAttemptsMax; ++attempt) {
    const Result<std::optional<cluster::Entry>> entry =
        co_await state_->get(std::string(kSecretsKey), soon());
    if (!entry) co_return "what the servers share cannot be reached: " + describe(entry.error());
    SecretVersions versions;
    if (*entry) versions = parse_secret_versions((*entry)->value).value_or(SecretVersions{});
    // Not below what this server had before the site knew of it.
    version = std::max(versions[name].version, own_secrets()[name].version) + 1;
    versions[name] = {.version = version, .removed = removed};
    const cluster::Committed done = co_await state_->put(std::string(kSecretsKey), to_json(versions),
                                                         *entry ? (*entry)->version : 0, soon());
    if (done.done()) co_return "";
    if (done.outcome != cluster::Outcome::kRefused) co_return done.text;
  }
  co_return "others write at the same time; try again";
}

Task<std::string> Member::give_secret(std::string server, std::string name, int64_t version,
                                      std::optional<std::string> value) {
  if (server == identity_->server) {
    std::string problem = co_await store_secret(name, version, value);
    co_return problem;
  }
  const Json message = {
      {"request", "store-secret"}, {"name", name}, {"version", version}, {"removed", !value}};
  Asking asking{.server = server,
                .message = text_of(message),
                .data = value.value_or(""),
                .sends_data = true,
                .deadline = reactor_.now() + kStoreTimeout};
  const Result<Reply> reply = co_await ask_server(std::move(asking));
  if (!reply) co_return describe(reply.error());
  co_return is_good(reply->message) ? "" : error_in(reply->message);
}

// ---- other servers

Task<std::string> Member::answer_store_secret(PeerTalk& talk) {
  const Json json = Json::parse(talk.message, nullptr, false);
  const Result<std::string> value =
      co_await talk.channel.receive_data(kSecretBytesMax, reactor_.now() + kStoreTimeout);
  if (!value) co_return failure_line(describe(value.error()));
  const auto name = value_of<std::string>(json, "name");
  const bool removed = value_of<bool>(json, "removed");
  const topology::Server* own = own_entry();
  if (own == nullptr || !runs_application(*own))
    co_return failure_line("secrets are for servers that run the application");
  if (!config::is_secret_name(name) || (!removed && !wrong_with_secret(*value).empty()))
    co_return failure_line("this is no secret");
  std::optional<std::string> kept;
  if (!removed) kept = *value;
  const std::string problem =
      co_await store_secret(name, value_of<int64_t>(json, "version"), std::move(kept));
  if (!problem.empty()) co_return failure_line(problem);
  co_return R"({"ok":true})";
}

Task<std::string> Member::answer_secrets(PeerTalk& talk) {
  Result<std::string> all = co_await read_secrets();
  if (!all) co_return failure_line(describe(all.error()));
  const std::string versions = to_json(own_secrets());
  const Result<void> sent = co_await talk.channel.send_data(*std::move(all));
  if (!sent) co_return failure_line(describe(sent.error()));
  log_.info("another server was given the secrets", {{"who", talk.asker.name()}});
  co_return text_of({{"ok", true}, {"versions", versions}});
}

// ---- those that this server lacks

void Member::take_secrets(const std::string& text) {
  if (const Result<SecretVersions> versions = parse_secret_versions(text)) secret_versions_ = *versions;
  secrets_changed_.ring();
}

Task<void> Member::keep_secrets() {
  for (;;) {
    co_await secrets_changed_.wait(kSecretsLook);
    const topology::Server* own = own_entry();
    if (own == nullptr || !runs_application(*own) || !shared_known_) continue;
    if (own_secrets() == secret_versions_) continue;
    const std::shared_ptr<const topology::Site> site = site_;
    for (const topology::Server& server : site->servers) {
      const bool asks = server.name != identity_->server && runs_application(server) && lacks_secrets();
      if (asks) co_await fetch_secrets(server.name);
    }
  }
}

bool Member::lacks_secrets() const {
  const SecretVersions own = own_secrets();
  return std::ranges::any_of(secret_versions_, [&](const auto& each) {
    const auto found = own.find(each.first);
    return found == own.end() || found->second.version < each.second.version;
  });
}

Task<void> Member::fetch_secrets(std::string server) {
  Asking asking{.server = server,
                .message = R"({"request":"secrets"})",
                .data_bytes_max = kPackedSecretsBytesMax,
                .deadline = reactor_.now() + kStoreTimeout};
  const Result<Reply> reply = co_await ask_server(std::move(asking));
  if (!reply || !is_good(reply->message)) co_return;
  const auto theirs =
      parse_secret_versions(value_of<std::string>(Json::parse(reply->message, nullptr, false), "versions"));
  if (!theirs) co_return;
  const std::map<std::string, std::string> values = unpack_secrets(reply->data);
  for (const auto& [name, version] : *theirs) {
    const SecretVersions own = own_secrets();
    const auto found = own.find(name);
    if (found != own.end() && found->second.version >= version.version) continue;
    const auto value = values.find(name);
    std::optional<std::string> kept;
    if (!version.removed && value == values.end()) continue;
    if (!version.removed) kept = value->second;
    const std::string problem = co_await store_secret(name, version.version, std::move(kept));
    if (problem.empty()) log_.info("a secret was fetched", {{"name", name}, {"from", server}});
    if (!problem.empty()) log_.warning("a secret could not be kept", {{"name", name}, {"why", problem}});
  }
}

}  // namespace terrace::program
