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

std::optional<certificates::Reason> refusal(const Askers& askers, const Asker& who, const Listed& listed) {
  if (askers.strangers) return std::nullopt;
  if (!who.identity) return certificates::Reason::kNoCertificate;
  if (!listed && !askers.unlisted) return certificates::Reason::kNotListed;
  if (askers.roles.empty()) return std::nullopt;
  const auto said = [&](std::string_view role) { return who.identity->has_role(role); };
  const auto given = [&](std::string_view role) {
    return said(role) && listed && std::ranges::find(*listed, role) != listed->end();
  };
  if (std::ranges::any_of(askers.roles, given)) return std::nullopt;
  return std::ranges::any_of(askers.roles, said) ? certificates::Reason::kRoleNotListed
                                                 : certificates::Reason::kWrongRole;
}

bool says_too_much(const certificates::Identity& identity, const Listed& listed) {
  return !listed || std::ranges::any_of(identity.roles, [&](const std::string& role) {
    return std::ranges::find(*listed, role) == listed->end();
  });
}

}  // namespace terrace::cluster
