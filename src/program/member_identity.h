#pragma once

// <state>/cluster/identity.json: that this server is a member of a site, and as whom. The
// last file that founding and joining write; without it nothing else in the folder counts.

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "cluster/placement.h"
#include "program/folders.h"
#include "topology/site.h"

namespace terrace::program {

struct MemberIdentity {
  std::string site;    // its id, 16 hexadecimal digits
  std::string server;  // our name in [servers]
  // Who held the shared state when this was written: whom to ask first.
  cluster::Placement placement;
  bool operator==(const MemberIdentity&) const = default;
};

// kNotFound: this server is no member. kInvalid: the file is damaged.
Result<MemberIdentity> read_member_identity(const Folders& folders);
Result<void> write_member_identity(const Folders& folders, const MemberIdentity& identity);

// The entry of that name, or null.
const topology::Server* find_server(const topology::Site& site, std::string_view name);
// Whether the site's releases go there: to web servers and those of the application.
bool runs_releases(const topology::Server& server);
// As in the site file and in certificates: "web".
std::string_view word_of(topology::Role role);
std::vector<std::string> role_words(const topology::Server& server);
// Where its member listens: "10.0.0.11:7400".
std::string channel_address(const topology::Site& site, const topology::Server& server);

// Where its etcd listens for the other voters: the port behind.
std::string peer_address(const topology::Site& site, const topology::Server& server);
// Where the shared state is kept on a server that holds it.
std::string state_folder(const Folders& folders);
// Removes what an earlier membership left of the shared state, of this site or another: it
// would be taken for newer than all that the site has. Before identity.json is written.
Result<void> forget_shared_state(const Folders& folders);
// The new authority during a rotation, and the revocations for etcd.
std::string next_folder(const Folders& folders);
std::string revocations_file(const Folders& folders);
// Of the shared state, in which the trusted authorities stand that this server has taken.
std::string trust_version_file(const Folders& folders);
// Which version of each secret this server has.
std::string secret_versions_file(const Folders& folders);

// Why this machine, which is `server`, may not found the site, or "": the site is founded
// by its first server, or by one that has served it already.
std::string founding_obstacle(const topology::Site& site, const std::string& server, const Folders& folders);

}  // namespace terrace::program
