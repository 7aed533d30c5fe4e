#include "program/traffic_credentials.h"

#include <string.h>

#include <nlohmann/json.hpp>

#include "certificates/hex.h"
#include "program/text_descriptor.h"

namespace terrace::program {
namespace {

using Json = nlohmann::json;

constexpr size_t kMembers = 6;
constexpr size_t kSerialBytesMax = 64;
// WallTime ends in the year 2262.
constexpr int64_t kSecondsMax = 9'000'000'000;

std::unexpected<Error> refuse(const char* text) { return fail(Code::kInvalid, "credentials", text); }

void wipe(std::string& secret) { ::explicit_bzero(secret.data(), secret.size()); }

void wipe(Json& json, const char* key) {
  if (const auto found = json.find(key); found != json.end() && found->is_string())
    wipe(found->get_ref<std::string&>());
}

bool take_text(const Json& json, const char* key, std::string& into) {
  const auto found = json.find(key);
  if (found == json.end() || !found->is_string()) return false;
  into = found->get_ref<const std::string&>();
  return true;
}

bool take_revoked(const Json& json, certificates::Revocations& into) {
  const auto found = json.find("revoked");
  if (found == json.end() || !found->is_object()) return false;
  for (const auto& [serial, seconds] : found->items()) {
    if (serial.size() > kSerialBytesMax || !seconds.is_number_unsigned()) return false;
    const auto end = seconds.get<uint64_t>();
    if (end > kSecondsMax) return false;
    into.serials.emplace(serial, WallTime(std::chrono::seconds(end)));
  }
  return true;
}

bool take_all(const Json& json, TrafficIdentity& into) {
  return json.is_object() && json.size() == kMembers &&
         take_text(json, "certificate", into.certificates_pem) && take_text(json, "key", into.key_pem) &&
         take_text(json, "trust", into.trust_pem) && take_text(json, "server", into.server) &&
         take_text(json, "sticky", into.sticky_secret) && take_revoked(json, into.revocations);
}

// The bytes; nothing when these are not the digits of so many.
std::optional<std::string> sticky_bytes(std::string_view hex) {
  if (hex.empty()) return std::string();
  std::array<uint8_t, kStickySecretBytes> bytes{};
  if (!certificates::read_hex(hex, bytes)) return std::nullopt;
  std::string text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  ::explicit_bzero(bytes.data(), bytes.size());
  return text;
}

}  // namespace

std::string to_text(const TrafficIdentity& identity) {
  Json json = {{"certificate", identity.certificates_pem},
               {"trust", identity.trust_pem},
               {"revoked", Json::object()},
               {"server", identity.server}};
  for (const auto& [serial, end] : identity.revocations.serials) {
    const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(end.time_since_epoch()).count();
    json["revoked"][serial] = static_cast<uint64_t>(std::clamp<int64_t>(seconds, 0, kSecondsMax));
  }
  json["key"] = identity.key_pem;
  json["sticky"] = identity.sticky_secret;
  std::string text = json.dump(-1, ' ', false, Json::error_handler_t::replace);
  for (const char* secret : {"key", "sticky"}) wipe(json, secret);
  return text;
}

Result<TrafficIdentity> read_traffic_identity(std::string_view text) {
  if (text.size() > kTrafficCredentialsBytesMax) return fail(Code::kLimit, "credentials", "too long");
  Json json = Json::parse(text, nullptr, false);
  TrafficIdentity identity;
  const bool taken = take_all(json, identity);
  if (json.is_object()) {
    for (const char* secret : {"key", "sticky"}) wipe(json, secret);
  }
  if (taken && certificates::is_name(identity.server) && sticky_bytes(identity.sticky_secret))
    return identity;
  wipe(identity.key_pem);
  wipe(identity.sticky_secret);
  return refuse("a member is missing, or not what it should be");
}

Result<HopCredentials> make_hop_credentials(const TrafficIdentity& identity, const Clock& clock) {
  const Result<certificates::Identity> own = certificates::read_identity_pem(identity.certificates_pem);
  if (!own) return std::unexpected(own.error());
  const Result<certificates::Bundle> trust = certificates::Bundle::parse(identity.trust_pem);
  if (!trust) return std::unexpected(trust.error());
  if (own->use != certificates::Use::kTraffic) return refuse("the certificate is not for traffic");
  if (own->server != identity.server || own->site != trust->site())
    return refuse("the certificate is of another server or site");
  net::TlsContext::Options options{.side = net::TlsContext::Side::kServer,
                                   .certificates_pem = identity.certificates_pem,
                                   .key_pem = identity.key_pem,
                                   .protocol = std::string(kHopProtocol)};
  const auto context = [&](net::TlsContext::Side side,
                           const char* role) -> Result<std::shared_ptr<const net::TlsContext>> {
    auto verifier = certificates::Verifier::of_site(*trust, identity.revocations, clock,
                                                    {.use = certificates::Use::kTraffic, .role = role});
    if (!verifier) return std::unexpected(verifier.error());
    options.side = side;
    options.verifier = *std::move(verifier);
    return net::TlsContext::make(options);
  };
  // A load balancer calls, and a web server is called.
  const auto serving = context(net::TlsContext::Side::kServer, "lb");
  const auto asking = context(net::TlsContext::Side::kClient, "web");
  wipe(options.key_pem);
  if (!serving) return std::unexpected(serving.error());
  if (!asking) return std::unexpected(asking.error());
  return HopCredentials{.serving = *serving,
                        .asking = *asking,
                        .server = identity.server,
                        .serial = own->serial,
                        .authorities = trust->fingerprints().size(),
                        .revoked = identity.revocations.serials.size(),
                        .sticky_secret = sticky_bytes(identity.sticky_secret).value_or("")};
}

Result<HopCredentials> read_hop_credentials(int descriptor, const Clock& clock,
                                            certificates::Revocations& revoked) {
  Result<std::string> text = read_text_descriptor(descriptor, kTrafficCredentialsBytesMax);
  if (!text) return std::unexpected(text.error());
  Result<TrafficIdentity> identity = read_traffic_identity(*text);
  wipe(*text);
  if (!identity) return std::unexpected(identity.error());
  certificates::Revocations all = revoked;
  all.prune(clock.wall());
  all.serials.insert(identity->revocations.serials.begin(), identity->revocations.serials.end());
  if (all.serials.size() <= kRevokedMax) identity->revocations = std::move(all);
  Result<HopCredentials> made = make_hop_credentials(*identity, clock);
  if (made) revoked = std::move(identity->revocations);
  wipe(identity->key_pem);
  wipe(identity->sticky_secret);
  return made;
}

}  // namespace terrace::program
