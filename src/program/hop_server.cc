#include "program/hop_server.h"

#include <algorithm>

#include "certificates/verifier.h"

namespace terrace::program {
namespace {

using certificates::Identity;
using certificates::Reason;

constexpr const char* kRole = "lb";

http::Http2Server::Limits limits_with(const http::ServerLimits& exchange) {
  return {.exchange = exchange, .connection = http::Http2Limits::between_our_servers()};
}

bool is_health_check(const http::RequestHead& request) {
  const bool reads = request.method == http::Method::kGet || request.method == http::Method::kHead;
  return reads && request.path == kHopHealthPath &&
         request.fields.find(http::HeaderId::kXForwardedFor) == nullptr;
}

}  // namespace

std::string_view hop_check_path(const topology::Site& site, std::string_view path) {
  const std::string_view by_default = site.app.run.empty() ? "/" : std::string_view(site.app.health);
  return path == by_default ? kHopHealthPath : path;
}

HopServer::HopServer(Reactor& reactor, http::Handler& visitors, Owner& owner, const Log& log)
    : visitors_(visitors), owner_(owner), server_(reactor, *this, limits_with({}), log) {
  server_.set_admission(this);
}

void HopServer::use_credentials(std::shared_ptr<const HopCredentials> credentials) {
  credentials_ = std::move(credentials);
  server_.set_tls(credentials_ ? credentials_->serving : nullptr);
  server_.admit_again();
}

void HopServer::use_site(std::shared_ptr<const topology::Site> site) {
  site_ = std::move(site);
  load_balancers_.clear();
  for (const topology::Server& server : site_->servers) {
    const Result<net::Ip> ip = net::Ip::parse(server.address);
    if (ip && has_role(server, topology::Role::kLb)) load_balancers_.push_back(*ip);
  }
  server_.admit_again();
}

void HopServer::set_limits(const http::ServerLimits& limits) { server_.set_limits(limits_with(limits)); }

void HopServer::accepted(Descriptor socket, const net::Peer& peer) {
  // Without a context the server would speak in the clear.
  if (credentials_ && credentials_->serving) server_.accepted(std::move(socket), peer);
}

// The verifier has said already that the certificate is one of the site's, and of this use;
// but it may be another one by now. That a certificate ends while its connection lasts is no
// reason: the load balancer shows its next one on the next connection.
const char* HopServer::refusal_of(std::string_view certificate_der) {
  if (!credentials_ || !credentials_->serving || !site_) return "this server has no certificate";
  if (certificate_der.empty()) return text_of(Reason::kNoCertificate);
  const auto refused = credentials_->serving->refusal_of(certificate_der);
  if (refused && refused->alert != net::TlsAlert::kExpired) return refused->text;
  const Result<Identity> identity = certificates::read_identity(certificate_der);
  if (!identity) return text_of(Reason::kMalformed);
  if (!identity->has_role(kRole)) return text_of(Reason::kWrongRole);
  const auto server = std::ranges::find(site_->servers, identity->server, &topology::Server::name);
  if (server == site_->servers.end()) return text_of(Reason::kNotListed);
  return has_role(*server, topology::Role::kLb) ? nullptr : text_of(Reason::kRoleNotListed);
}

// A load balancer that comes from another address counts as a stranger until it has shown itself.
bool HopServer::expects(const net::Ip& from) const {
  return std::ranges::find(load_balancers_, from) != load_balancers_.end();
}

Task<void> HopServer::handle(http::Exchange& exchange) {
  if (is_health_check(exchange.request())) return answer_health(exchange);
  return owner_.handle_hop(exchange);
}

Task<void> HopServer::answer_health(http::Exchange& exchange) {
  http::ResponseHead head;
  head.status = owner_.health();
  head.fields.add({"Cache-Control", "no-store", http::HeaderId::kCacheControl, false});
  (void)co_await exchange.respond(head, "");
}

void HopServer::refused(int status, const char* why, const net::Peer& peer) {
  visitors_.refused(status, why, peer);
}

std::string_view HopServer::error_page(int status) { return visitors_.error_page(status); }

}  // namespace terrace::program
