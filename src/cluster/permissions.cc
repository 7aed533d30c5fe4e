#include "cluster/permissions.h"

#include <algorithm>
#include <array>

namespace terrace::cluster {

std::string Asker::name() const {
  if (identity) return identity->server;
  return claimed.empty() ? "a server without a certificate" : claimed + ", not proven";
}

std::string Asker::address() const {
  std::array<char, 64> text;
  return std::string(from.ip.print(text));
}

std::optional<certificates::Reason> refusal(const Askers& askers, const Asker& who) {
  if (askers.strangers) return std::nullopt;
  if (!who.identity) return certificates::Reason::kNoCertificate;
  const bool any = askers.roles.empty() || std::ranges::any_of(askers.roles, [&](std::string_view role) {
                     return who.identity->has_role(role);
                   });
  if (any) return std::nullopt;
  return certificates::Reason::kWrongRole;
}

}  // namespace terrace::cluster
