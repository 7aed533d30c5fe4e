#pragma once

// What `terrace status` says of the other servers of a site (member_commands.h).

#include <optional>
#include <string>
#include <string_view>

namespace terrace::program {

// The member's answer to `status`; nothing where the site has this server alone.
std::optional<std::string> look_at_servers(const std::string& site_path);
// Whether each of them answers and serves.
bool are_fine(const std::string& servers);
// For the terminal: a line each.
std::string render_servers(const std::string& servers, bool colours);
// The controller's answer of this server with "servers" of the other one in it. A backend
// that is a server that was drained is "draining", whatever its checks say.
std::string with_servers(const std::string& own, const std::string& servers);

}  // namespace terrace::program
