#include "program/member_identity.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "base/file.h"
#include "certificates/identity.h"
#include "cluster/state_json.h"
#include "program/json_value.h"

namespace terrace::program {
namespace {

using Json = nlohmann::json;

constexpr size_t kIdentityBytesMax = 64 << 10;

// A release, or a database with something in it.
bool has_served(const Folders& folders) {
  std::error_code ignored;
  if (std::filesystem::exists(folders.state + "/releases.json", ignored)) return true;
  return std::filesystem::is_directory(folders.state + "/database", ignored) &&
         !std::filesystem::is_empty(folders.state + "/database", ignored);
}

}  // namespace

Result<MemberIdentity> read_member_identity(const Folders& folders) {
  const Result<std::string> text = read_file(identity_file(folders), kIdentityBytesMax);
  if (!text && text.error().system == ENOENT) return fail(Code::kNotFound, "identity", "no member of a site");
  if (!text) return std::unexpected(text.error());
  const Json json = Json::parse(*text, nullptr, false);
  const auto refuse = [] { return fail(Code::kInvalid, "identity", "identity.json is damaged"); };
  if (!json.is_object()) return refuse();
  MemberIdentity identity{.site = value_of<std::string>(json, "site"),
                          .server = value_of<std::string>(json, "server")};
  if (!certificates::is_name(identity.site) || !certificates::is_name(identity.server)) return refuse();
  const Result<cluster::Placement> placement =
      cluster::parse_placement(value_of<std::string>(json, "placement"));
  if (!placement) return refuse();
  identity.placement = *placement;
  return identity;
}

Result<void> write_member_identity(const Folders& folders, const MemberIdentity& identity) {
  const Json json = {{"site", identity.site},
                     {"server", identity.server},
                     {"placement", cluster::to_json(identity.placement)}};
  return write_file(identity_file(folders), json.dump(2) + "\n", 0600);
}

const topology::Server* find_server(const topology::Site& site, std::string_view name) {
  const auto found = std::ranges::find(site.servers, name, &topology::Server::name);
  return found == site.servers.end() ? nullptr : &*found;
}

std::string_view word_of(topology::Role role) {
  switch (role) {
    case topology::Role::kLb:
      return "lb";
    case topology::Role::kWeb:
      return "web";
    case topology::Role::kApp:
      return "app";
    case topology::Role::kDb:
      return "db";
    case topology::Role::kMonitor:
      return "monitor";
  }
  return "";
}

bool runs_releases(const topology::Server& server) {
  return std::ranges::any_of(server.roles, [](topology::Role role) {
    return role == topology::Role::kApp || role == topology::Role::kWeb;
  });
}

std::vector<std::string> role_words(const topology::Server& server) {
  std::vector<std::string> words;
  for (const topology::Role role : server.roles) words.emplace_back(word_of(role));
  std::ranges::sort(words);
  return words;
}

std::string channel_address(const topology::Site& site, const topology::Server& server) {
  return topology::at_port(server, site.cluster.port);
}

std::string peer_address(const topology::Site& site, const topology::Server& server) {
  return topology::at_port(server, site.cluster.port + 1);
}

std::string state_folder(const Folders& folders) { return cluster_folder(folders) + "/state"; }

Result<void> forget_shared_state(const Folders& folders) {
  for (const std::string& folder :
       {state_folder(folders), cluster_folder(folders) + "/etcd", trust_version_file(folders)}) {
    std::error_code error;
    std::filesystem::remove_all(folder, error);
    if (error) return fail_system("remove", error.value());
  }
  return {};
}

std::string next_folder(const Folders& folders) { return cluster_folder(folders) + "/next"; }

std::string revocations_file(const Folders& folders) { return cluster_folder(folders) + "/revoked.pem"; }

std::string trust_version_file(const Folders& folders) { return cluster_folder(folders) + "/trust.version"; }

std::string secret_versions_file(const Folders& folders) { return cluster_folder(folders) + "/secrets.json"; }

std::string founding_obstacle(const topology::Site& site, const std::string& server, const Folders& folders) {
  if (site.servers.empty() || site.servers[0].name == server || has_served(folders)) return "";
  return fmt::format(
      "{0} has not joined the site: run `terrace token {0}` on a server that has, such as {1}, and "
      "`terrace join` with its answer here",
      server, site.servers[0].name);
}

}  // namespace terrace::program
