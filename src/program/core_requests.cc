// The core's part about one request: who answers it, what is said of it in the access log
// and counted.

#include <algorithm>

#include "http/url.h"
#include "program/core.h"
#include "program/core_site.h"
#include "topology/host.h"

namespace terrace::program {
namespace {

constexpr size_t kHexDigits = 32;  // of a request id: 128 bits

// A request id that we would forward and log: short, and of harmless characters.
bool plain_id(std::string_view id) {
  return !id.empty() && id.size() <= 64 && std::ranges::all_of(id, [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' || c == '_';
  });
}

// A stranger has to ask for our domain; from this machine itself any name will do,
// so that a health check may say localhost.
bool answers_to(const topology::Site& site, std::string_view authority, const net::Peer& peer) {
  if (authority.empty() || peer.local || peer.ip.is_loopback()) return true;
  return topology::is_name_of(site, http::host_of(authority));
}

monitor::ServedFrom served_from(int status, bool by_app) {
  if (by_app) return monitor::ServedFrom::kApp;
  if (status >= 400) return monitor::ServedFrom::kError;
  if (status > 300 && status != 304) return monitor::ServedFrom::kRedirect;
  return monitor::ServedFrom::kStatic;
}

}  // namespace

Task<void> Core::handle(http::Exchange& exchange) { return answer(exchange, Way::kDirect); }

Task<void> Core::handle_hop(http::Exchange& exchange) { return answer(exchange, Way::kHop); }

Task<void> Core::answer(http::Exchange& exchange, Way way) {
  metrics_.requests.in_flight.add();
  web::FileServer& files = *site_->files;
  const web::FileServer::Use use = files.use();
  app::Outcome outcome;
  const uint32_t release = site_->release;
  char id_text[kHexDigits];
  const bool hop = way == Way::kHop;
  const std::string_view id = request_id(exchange, hop || trusted(exchange.peer()), id_text);
  web::Served served = web::Served::kAnswered;
  lb::Upstreams::Use backend;
  bool by_backend = false;
  // By the hop: the load balancer has looked at the name.
  if (!hop && balances_for(exchange)) {
    lb::Forwarded forwarded = co_await forward(exchange, id);
    if (forwarded.error_status != 0) co_await respond_unserved(exchange, forwarded);
    backend = std::move(forwarded.backend);
    by_backend = forwarded.error_status == 0;
  } else if (hop || answers_to(*site_->site, exchange.request().authority, exchange.peer())) {
    served = co_await files.serve(exchange);
  } else {
    co_await files.respond_error(exchange, 421);
  }
  if (served == web::Served::kNotMine) {
    outcome = co_await ask_app(exchange, way, files.extra_fields(), id);
    if (outcome.given_back && !exchange.give_back()) outcome.error_status = 503;
    if (outcome.error_status != 0) co_await files.respond_error(exchange, outcome.error_status);
  }
  // An instance may be of another one: it drains, or the switch came while this waited.
  const std::string_view by = backend ? std::string_view(backend->name) : outcome.instance;
  if (by.empty()) outcome.release = release;
  // It is the load balancer's again, which says what becomes of it.
  const bool given_back = outcome.given_back && outcome.error_status == 0;
  const bool by_app = served == web::Served::kNotMine && outcome.error_status == 0;
  const monitor::ServedFrom from =
      by_backend ? monitor::ServedFrom::kBackend : served_from(exchange.status(), by_app);
  if (!given_back) record(exchange, way, {.from = from, .by = by, .release = outcome.release}, id);
  metrics_.requests.in_flight.subtract();
}

// `extra`: of the site that the request began with, which a reload does not end before it.
Task<app::Outcome> Core::ask_app(http::Exchange& exchange, Way way, std::span<const http::Field> extra,
                                 std::string_view request_id) {
  const bool hop = way == Way::kHop;
  const http::UpstreamContext context{.peer = exchange.peer(),
                                      .scheme = "http",
                                      .request_id = request_id,
                                      .trusted = hop || trusted(exchange.peer()),
                                      .relayed = hop};
  using Without = app::Proxy::Without;
  return proxy_.handle(exchange, context, extra, hop ? Without::kElsewhere : Without::kWait);
}

bool Core::trusted(const net::Peer& peer) const {
  return std::ranges::any_of(site_->trusted, [&](const net::Network& one) { return one.contains(peer.ip); });
}

std::string_view Core::request_id(const http::Exchange& exchange, bool trusted_peer, std::span<char> into) {
  if (trusted_peer) {
    const std::string_view theirs =
        const_cast<http::Exchange&>(exchange).request().fields.value(http::HeaderId::kXRequestId);
    if (plain_id(theirs)) return theirs;
  }
  static constexpr char kHex[] = "0123456789abcdef";
  uint64_t word = 0;
  for (size_t i = 0; i < kHexDigits; ++i) {
    if (i % 16 == 0) word = reactor_.random().next();
    into[i] = kHex[word & 15];
    word >>= 4;
  }
  return {into.data(), kHexDigits};
}

// Who asked: the peer, or behind trusted proxies, of which our load balancer is one, the last
// address in X-Forwarded-For that is not one of theirs.
net::Peer Core::client_of(http::Exchange& exchange, Way way) const {
  net::Peer client = exchange.peer();
  bool balancer = way == Way::kHop;
  const http::Fields& fields = exchange.request().fields;
  for (const http::Field* field = fields.end(); field != fields.begin() && (balancer || trusted(client));) {
    --field;
    if (field->id != http::HeaderId::kXForwardedFor) continue;
    std::string_view rest = field->value;
    while (!rest.empty() && (balancer || trusted(client))) {
      const size_t comma = rest.rfind(',');
      std::string_view one = rest.substr(comma == std::string_view::npos ? 0 : comma + 1);
      rest = rest.substr(0, comma == std::string_view::npos ? 0 : comma);
      while (!one.empty() && one.front() == ' ') one.remove_prefix(1);
      const Result<net::Ip> ip = net::Ip::parse(one);
      if (!ip) return client;
      client.ip = *ip;
      client.local = false;
      balancer = false;
    }
  }
  return client;
}

void Core::record(http::Exchange& exchange, Way way, const Answered& answered, std::string_view request_id) {
  const Duration duration = reactor_.now() - exchange.started();
  monitor::RequestMetrics& metrics = metrics_.requests;
  metrics.bytes_sent.add(exchange.body_bytes_sent());
  metrics.bytes_received.add(exchange.body_bytes_received());
  metrics.finished({.status = exchange.status(), .served_from = answered.from, .duration = duration});
  if (!access_log_) return;
  const http::RequestHead& request = exchange.request();
  char client[64];
  access_log_->add({.time = reactor_.clock().wall(),
                    .client = client_of(exchange, way).ip.print(client),
                    .method = request.method_text,
                    .host = request.authority,
                    .target = request.target,
                    .protocol = exchange.protocol(),
                    .status = exchange.status(),
                    .bytes_sent = exchange.body_bytes_sent(),
                    .bytes_received = exchange.body_bytes_received(),
                    .duration = duration,
                    .served_from = answered.from,
                    .instance = answered.by,
                    .release = answered.release,
                    .request_id = request_id,
                    .user_agent = request.fields.value(http::HeaderId::kUserAgent),
                    .referer = request.fields.value(http::HeaderId::kReferer)});
}

void Core::refused(int status, const char* why, const net::Peer& peer) {
  metrics_.requests.refused(status);
  if (!access_log_) return;
  char client[64];
  access_log_->add({.time = reactor_.clock().wall(),
                    .client = peer.ip.print(client),
                    .target = why,
                    .status = status,
                    .served_from = monitor::ServedFrom::kError});
}

std::string_view Core::error_page(int status) { return site_->files->error_page(status); }

}  // namespace terrace::program
