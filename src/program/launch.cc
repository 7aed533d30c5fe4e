#include "program/launch.h"

#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <cstring>

#include "base/descriptor.h"
#include "database/environment.h"
#include "net/address.h"

namespace terrace::program {
namespace {

using topology::AppSocket;
using topology::Named;
using SiteFile = topology::Site;

constexpr uint16_t kPortFirst = 20'000;
constexpr uint16_t kPorts = 12'000;
constexpr int kTries = 200;

bool is_free(uint16_t port) {
  const net::Address address = net::Address::loopback(port);
  const Descriptor socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  return socket && ::bind(socket.get(), address.get(), address.length()) == 0;
}

void set(std::vector<Named>& variables, const std::string& name, const std::string& value) {
  const auto found = std::ranges::find(variables, name, &Named::name);
  if (found != variables.end()) {
    found->value = value;
  } else {
    variables.push_back({name, value});
  }
}

// FNV-1a over texts, each with its end, so that moving a letter from one to the
// next is a change.
class Recipe {
 public:
  void add(std::string_view text) {
    for (const char c : text) add_byte(static_cast<unsigned char>(c));
    add_byte(0);
  }
  void add(int64_t number) { add(std::to_string(number)); }
  uint64_t value() const { return hash_; }

 private:
  void add_byte(unsigned char byte) { hash_ = (hash_ ^ byte) * 0x100000001b3; }
  uint64_t hash_ = 0xcbf29ce484222325;
};

}  // namespace

Result<uint16_t> free_port(Random& random, const std::function<bool(uint16_t)>& is_ours) {
  for (int i = 0; i < kTries; ++i) {
    const auto port = static_cast<uint16_t>(kPortFirst + random.below(kPorts));
    if (!is_ours(port) && is_free(port)) return port;
  }
  return fail(Code::kUnavailable, "port", "no free loopback port");
}

std::vector<Named> instance_environment(const SiteFile& site, const ListenPlace& place,
                                        const EnvironmentOptions& options) {
  std::vector<Named> variables;
  const char* own_path = options.root ? nullptr : options.own("PATH");
  set(variables, "PATH", own_path != nullptr ? own_path : kSystemPath);
  for (const char* name : {"LANG", "TZ"}) {
    if (const char* value = options.own(name)) set(variables, name, value);
  }
  if (place.port != 0) {
    set(variables, "PORT", std::to_string(place.port));
  } else if (!place.socket.empty()) {
    // Many servers take a path where they take a port (Node's listen()).
    set(variables, "SOCKET", place.socket);
    set(variables, "PORT", place.socket);
  }
  const std::string folder = options.state_folder + "/database";
  for (const Named& variable : database::environment_of(site, folder).variables)
    set(variables, variable.name, variable.value);
  for (const Named& variable : site.app.env) set(variables, variable.name, variable.value);
  return variables;
}

Result<StartInstance> start_record(const SiteFile& site, const std::vector<Named>& environment,
                                   const ListenPlace& place, uint32_t slot, uint32_t generation) {
  StartInstance record;
  record.slot = slot;
  record.generation = generation;
  record.port = place.port;
  record.memory_bytes = site.app.memory_bytes;
  record.processes = static_cast<uint32_t>(site.app.processes);
  record.grace_ms = static_cast<uint32_t>(site.app.grace.count());
  const bool fits = record.socket.set(place.socket) && record.site.set(site.site.name) &&
                    record.user.set(site.app.user) && record.folder.set(site.app.folder) &&
                    record.command.set(site.app.run) && record.database_link.set(site.db.link) &&
                    record.database_password.set(database::environment_of(site, "").password);
  if (!fits) return fail(Code::kLimit, "instance", "the command, the folder or the password is too long");
  std::string paths;
  for (const std::string& path : site.app.writable) paths += path + '\0';
  if (paths.size() > record.writable.size())
    return fail(Code::kLimit, "instance", "`app.writable` is longer than 8 KiB");
  std::memcpy(record.writable.data(), paths.data(), paths.size());
  record.writable_bytes = static_cast<uint32_t>(paths.size());
  std::string block;
  for (const Named& variable : environment) block += variable.name + "=" + variable.value + '\0';
  if (block.size() > record.environment.size())
    return fail(Code::kLimit, "instance", "the environment is longer than 32 KiB");
  std::memcpy(record.environment.data(), block.data(), block.size());
  record.environment_bytes = static_cast<uint32_t>(block.size());
  return record;
}

uint64_t recipe_of(const SiteFile& site) {
  Recipe recipe;
  for (const std::string& text :
       {site.site.name, site.app.run, site.app.folder, site.app.user, site.db.url, site.app.database_url})
    recipe.add(text);
  for (const Named& variable : site.app.env) {
    recipe.add(variable.name);
    recipe.add(variable.value);
  }
  for (const std::string& path : site.app.writable) recipe.add(path);
  recipe.add(site.db.link);
  recipe.add(static_cast<int64_t>(site.app.socket));
  recipe.add(static_cast<int64_t>(site.db.engine));
  recipe.add(site.app.memory_bytes);
  recipe.add(site.app.processes);
  return recipe.value();
}

}  // namespace terrace::program
