#include "program/folders.h"

#include <fmt/format.h>

#include <cstdint>
#include <cstdlib>
#include <string_view>

namespace terrace::program {
namespace {

// "/app/64-4294967295.sock" and the zero at the end.
constexpr size_t kSocketNameBytes = 24;
constexpr size_t kSocketPathBytes = 108;

// FNV-1a: stable across versions, so that `terrace status` finds the folder.
uint64_t hash_of(std::string_view text) {
  uint64_t hash = 0xcbf29ce484222325;
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
  return hash;
}

Folders under(const std::string& folder) {
  return {.state = folder + "/state", .run = folder + "/run", .log = folder + "/log"};
}

}  // namespace

Folders folders_of(const std::string& site_path, bool root) {
  const char* chosen = std::getenv("TERRACE_FOLDER");
  Folders folders;
  if (chosen != nullptr && *chosen == '/') {
    folders = under(chosen);
  } else if (root && site_path.starts_with("/etc/")) {
    return {.state = "/var/lib/terrace", .run = "/run/terrace", .log = "/var/log/terrace"};
  } else {
    folders = under(site_path.substr(0, site_path.rfind('/')) + "/.terrace");
  }
  if (folders.run.size() + kSocketNameBytes > kSocketPathBytes)
    folders.run = fmt::format("/tmp/terrace-{:016x}", hash_of(folders.run));
  return folders;
}

std::string secrets_folder(const Folders& folders) { return folders.state + "/secrets"; }

std::string control_socket(const Folders& folders) { return folders.run + "/control.sock"; }

std::string member_socket(const Folders& folders) { return folders.run + "/cluster/member.sock"; }

std::string cluster_folder(const Folders& folders) { return folders.state + "/cluster"; }

std::string identity_file(const Folders& folders) { return cluster_folder(folders) + "/identity.json"; }

std::string pid_file(const Folders& folders) { return folders.run + "/terrace.pid"; }

}  // namespace terrace::program
