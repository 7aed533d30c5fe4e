// The member's part about what the site file leaves of a certificate. A certificate says what
// a server was when it was made, the file that this server has accepted what it is: a server
// that was taken out, or has lost a role, has no rights from it any more when we take the
// file, whatever its certificate says for another three days.
//
// Servers do not take a file at the same moment. One that it does not name may still read
// what the servers share, and nothing else: so one that was away learns that it was taken
// out, and a new one the version that names it, from a server that has not taken that
// version itself. There is no secret in it (shared_values.h). A coordinator that was taken
// out hands over what it holds.

#include "cluster/state_json.h"
#include "program/member.h"

namespace terrace::program {

cluster::Listed Member::listed(const std::string& server) const {
  const topology::Server* entry = site_ ? find_server(*site_, server) : nullptr;
  return entry != nullptr ? cluster::Listed(role_words(*entry)) : std::nullopt;
}

cluster::Listed Member::listed(const cluster::Asker& asker) const {
  return asker.identity ? listed(asker.identity->server) : std::nullopt;
}

// A server that was revoked and has not joined again has no rights, whatever certificate it
// has: one with the authority's key may have signed itself another one while it was away.
std::optional<certificates::Reason> Member::refusal(const cluster::Askers& askers,
                                                    const cluster::Asker& asker) const {
  const bool known = asker.identity && servers_.contains(asker.identity->server);
  if (asker.identity && !known && revoked_value_.servers.contains(asker.identity->server))
    return certificates::Reason::kRevoked;
  return cluster::refusal(askers, asker, listed(asker));
}

// What is open with servers that the file has taken something from. Who may still ask asks
// again.
void Member::end_unlisted() {
  const size_t ended = channel_.close_if([&](const certificates::Identity& identity) {
    return cluster::says_too_much(identity, listed(identity.server));
  });
  for (const OpenCall& each : calls_) {
    if (!listed(each.server)) each.call->cancel();
  }
  if (ended > 0)
    log_.info("ended connections of servers that the site file gives less than before",
              {{"closed", static_cast<int64_t>(ended)}});
}

// Why a request about what the servers share is not for this one, or "".
std::string Member::objection_to_unlisted(const cluster::Asker& asker, const std::string& request) const {
  if (listed(asker)) return "";
  const Result<cluster::StateRequest> parsed = cluster::parse_state_request(request);
  if (!parsed) return describe(parsed.error());
  // A coordinator that is told of more than it has written stops: its disk would be an old one.
  const auto* watch = std::get_if<cluster::WatchRequest>(&*parsed);
  if (watch != nullptr && watch->since > state_->copy().entries().version())
    return certificates::text_of(certificates::Reason::kNotListed);
  // Whether it holds the state, which it must to hand it over, is looked at where it is taken.
  if (!std::holds_alternative<cluster::Commit>(*parsed)) return "";
  return certificates::text_of(certificates::Reason::kNotListed);
}

}  // namespace terrace::program
