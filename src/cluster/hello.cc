#include "cluster/hello.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>

#include "certificates/identity.h"

namespace terrace::cluster {
namespace {

using Json = nlohmann::json;

constexpr size_t kProgramBytesMax = 64;
// Beyond any version and any time that there will be; a double holds it exactly.
constexpr int64_t kNumberMax = int64_t{1} << 53;

std::optional<int64_t> number_in(const Json& json, const char* name) {
  const auto found = json.find(name);
  if (found == json.end() || !found->is_number_unsigned()) return std::nullopt;
  const auto value = found->get<uint64_t>();
  if (value > static_cast<uint64_t>(kNumberMax)) return std::nullopt;
  return static_cast<int64_t>(value);
}

std::optional<std::string> text_in(const Json& json, const char* name, size_t bytes_max) {
  const auto found = json.find(name);
  if (found == json.end() || !found->is_string()) return std::nullopt;
  auto text = found->get<std::string>();
  if (text.size() > bytes_max) return std::nullopt;
  return text;
}

bool is_printable(std::string_view text) {
  return std::ranges::all_of(text, [](char c) { return c > ' ' && c < 127; });
}

}  // namespace

std::string to_json(const Hello& hello) {
  return Json{{"channel", {{"from", hello.from}, {"to", hello.to}}},
              {"server", hello.server},
              {"program", hello.program},
              {"time_ms", hello.time.count()}}
      .dump(-1, ' ', false, Json::error_handler_t::replace);
}

Result<Hello> parse_hello(std::string_view text) {
  const auto refuse = [] { return fail(Code::kInvalid, "hello", "it is not one"); };
  if (text.size() > kHelloBytesMax) return refuse();
  const Json json = Json::parse(text, nullptr, false);
  if (!json.is_object() || !json.contains("channel") || !json["channel"].is_object()) return refuse();
  const auto from = number_in(json["channel"], "from");
  const auto to = number_in(json["channel"], "to");
  const auto server = text_in(json, "server", certificates::kNameBytesMax);
  const auto program = text_in(json, "program", kProgramBytesMax);
  const auto time = number_in(json, "time_ms");
  if (!from || !to || !server || !program || !time || *from < 1 || *from > *to) return refuse();
  if (!server->empty() && !certificates::is_name(*server)) return refuse();
  if (!is_printable(*program)) return refuse();
  return Hello{.from = *from,
               .to = *to,
               .server = *server,
               .program = *program,
               .time = std::chrono::milliseconds(*time)};
}

int64_t common_version(const Hello& ours, const Hello& theirs) {
  const int64_t highest = std::min(ours.to, theirs.to);
  return highest >= std::max(ours.from, theirs.from) ? highest : 0;
}

Result<std::string> request_name(std::string_view message) {
  const Json json = Json::parse(message, nullptr, false);
  std::optional<std::string> name;
  if (json.is_object()) name = text_in(json, "request", kRequestNameBytesMax);
  const bool good = name && !name->empty() &&
                    std::ranges::all_of(*name, [](char c) { return (c >= 'a' && c <= 'z') || c == '-'; });
  if (!good) return fail(Code::kInvalid, "request", "it names no request");
  return *name;
}

}  // namespace terrace::cluster
