// The core's part as a load balancer: requests go to backends (lb/forwarder.h), of which this
// very server may be one.

#include <fmt/format.h>

#include <algorithm>

#include "http/url.h"
#include "lb/hop_check.h"
#include "program/core.h"
#include "program/core_site.h"
#include "topology/host.h"

namespace terrace::program {
namespace {

lb::ForwardOptions forward_options(const topology::LbTable& lb) {
  return {.connect_timeout = lb.connect_timeout,
          .queue_timeout = lb.queue_timeout,
          .try_timeout = lb.try_timeout,
          .total_timeout = lb.total_timeout};
}

std::vector<net::Network> proxy_networks(const topology::LbTable& lb) {
  std::vector<net::Network> networks;
  for (const std::string& text : lb.proxy_from) {
    if (const Result<net::Network> network = net::Network::parse(text)) networks.push_back(*network);
  }
  return networks;
}

bool is_host_of_pool(const topology::Site& site, std::string_view host) {
  return std::ranges::any_of(site.lb_pools, [host](const topology::LbPool& pool) {
    return std::ranges::any_of(
        pool.hosts, [host](const std::string& pattern) { return topology::host_fits(pattern, host); });
  });
}

}  // namespace

lb::Reach Core::reach() const {
  return {.server = own_name_,
          .tls = credentials_ != nullptr ? credentials_->asking : nullptr,
          .connect_timeout = site_->site->lb.connect_timeout,
          .silence_max = site_->site->lb.check_interval * site_->site->lb.check_fall};
}

// Alone, a server has one of its own until its worker ends; clients then are given new cookies.
std::string Core::sticky_secret() const {
  if (credentials_ != nullptr) return credentials_->sticky_secret;
  return site_->site->servers.size() > 1 ? std::string() : options_.sticky_secret;
}

// One that balances no more keeps its pools, which nobody asks, and checks nobody.
void Core::balance(const topology::Site& site, const SiteHere& here) {
  own_name_ = here.server;
  if (!here.balances && !balances_) return;
  balances_ = here.balances;
  if (here.clients != nullptr && pools_.clients() == nullptr) pools_.use_clients(*here.clients);
  pools_.configure(site, sticky_secret());
  const std::vector<topology::Pool> pools =
      balances_ ? topology::pools_of(site) : std::vector<topology::Pool>();
  upstreams_.configure(pools, reach(), site.web.drain_timeout);
  forwarder_.set_options(forward_options(site.lb));
  front_.set_networks(balances_ ? proxy_networks(site.lb) : std::vector<net::Network>());
  if (options_.index == 0) watches_.configure(balances_ ? site : topology::Site());
}

void Core::use_credentials(std::shared_ptr<const HopCredentials> credentials) {
  const bool other_secret =
      credentials_ == nullptr || credentials_->sticky_secret != credentials->sticky_secret;
  credentials_ = std::move(credentials);
  hop_.use_credentials(credentials_);
  if (!balances_ || stopping_) return;
  if (other_secret) pools_.configure(*site_->site, sticky_secret());
  upstreams_.set_reach(reach());
}

void Core::suspect_backend(const std::string& pool, const std::string& backend) {
  watches_.suspect(pool, backend);
}

void Core::judge_backend(const std::string& pool, const std::string& backend, lb::Verdict verdict) {
  watches_.verdict(pool, backend, verdict);
}

void Core::take_decision(const std::string& pool, const std::vector<lb::Standing>& standings) {
  pools_.update(pool, standings);
  for (const lb::Standing& one : standings) {
    if (one.silent) upstreams_.fell_silent(one.name);
  }
}

// By the way that requests take. Whoever leaves the site meanwhile is checked no more.
Task<health::CheckResult> Core::check_own(std::string server, health::Check check) {
  const lb::Upstreams::Use upstream = upstreams_.find(server);
  if (!upstream) co_return health::CheckResult{.reason = "it is not known"};
  if (upstream->hop == nullptr) {
    const int status = health();
    co_return health::CheckResult{.success = status == 200, .reason = "answers " + std::to_string(status)};
  }
  check.probe.path = hop_check_path(*site_->site, check.probe.path);
  health::CheckResult result = co_await lb::check_over(reactor_, *upstream->hop, std::move(check));
  co_return result;
}

// A stranger has to ask for a name of ours; what is none is answered as it is without a
// load balancer.
bool Core::balances_for(http::Exchange& exchange) const {
  if (!balances_) return false;
  const std::string_view host = http::host_of(exchange.request().authority);
  const net::Peer& peer = exchange.peer();
  return host.empty() || peer.local || peer.ip.is_loopback() || topology::is_name_of(*site_->site, host) ||
         is_host_of_pool(*site_->site, host);
}

Task<lb::Forwarded> Core::forward(http::Exchange& exchange, std::string_view request_id) {
  const http::UpstreamContext context{.peer = exchange.peer(),
                                      .scheme = "http",
                                      .request_id = request_id,
                                      .trusted = trusted(exchange.peer())};
  return forwarder_.handle(exchange, context, client_of(exchange, Way::kDirect).ip,
                           http::host_of(exchange.request().authority));
}

Task<void> Core::respond_unserved(http::Exchange& exchange, const lb::Forwarded& outcome) {
  web::FileServer& files = *site_->files;
  const std::shared_ptr<const topology::Site> site = site_->site;
  if (outcome.error_status == 503 && !site->lb.maintenance_page.empty()) {
    http::ResponseHead head{.status = 503};
    head.fields.add({"Content-Type", "text/html; charset=utf-8", http::HeaderId::kContentType, false});
    head.fields.add({"Retry-After", "10", http::HeaderId::kOther, false});
    head.fields.add({"Cache-Control", "no-store", http::HeaderId::kCacheControl, false});
    head.fields.add({"X-Content-Type-Options", "nosniff", http::HeaderId::kOther, false});
    (void)co_await exchange.respond(head, site->lb.maintenance_page);
    co_return;
  }
  const auto seconds = std::chrono::ceil<std::chrono::seconds>(outcome.retry_after).count();
  if (seconds <= 0) {
    co_await files.respond_error(exchange, outcome.error_status);
    co_return;
  }
  const std::string text = fmt::format("{}", seconds);
  const http::Field later{"Retry-After", text, http::HeaderId::kOther, false};
  co_await files.respond_error(exchange, outcome.error_status, {&later, 1});
}

// This server is one of its own backends.
Task<bool> Core::serve_here(http::Exchange& exchange, const http::UpstreamContext& context,
                            std::span<const http::Field> added, bool elsewhere) {
  web::FileServer& files = *site_->files;
  const web::FileServer::Use use = files.use();
  const web::Served served = co_await files.serve(exchange);
  if (served != web::Served::kNotMine) co_return true;
  http::Fields extra;
  for (const http::Field& field : files.extra_fields()) extra.add(field);
  for (const http::Field& field : added) extra.add(field);
  using Without = app::Proxy::Without;
  const app::Outcome outcome = co_await proxy_.handle(exchange, context, {extra.begin(), extra.end()},
                                                      elsewhere ? Without::kElsewhere : Without::kWait);
  if (outcome.error_status != 0) co_await files.respond_error(exchange, outcome.error_status);
  co_return !outcome.given_back;
}

}  // namespace terrace::program
