#pragma once

// The web server's side of the hop, on one core: load balancers of the site come by HTTP/2
// inside mutual TLS (hop_credentials.h) and ask what visitors have asked them.
//
// Who comes must have the role lb in its certificate and in the site file; who has not gets
// no byte of HTTP/2, and who loses it is cut off. While there are no credentials everybody
// is closed. Strangers who reach the address and do not end their handshakes keep no load balancer
// out: those have a limit and a deadline of their own (http/handshakes.h), and what comes from the
// address that the site file gives a load balancer is not ended for them.

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "http/http2_server.h"
#include "program/hop_credentials.h"
#include "topology/site.h"

namespace terrace::program {

// Where a load balancer asks whether a web server is well: 200, or 503. An ordinary GET, but
// one that nobody is named in as having asked for it (X-Forwarded-For): the same path from a
// visitor is the site's.
constexpr std::string_view kHopHealthPath = "/.well-known/terrace/health";

// What is asked of our own web server where `[lb] check` says `path`. The default asks for
// what the server knows already, without a request to the application.
std::string_view hop_check_path(const topology::Site& site, std::string_view path);

class HopServer final : public net::Acceptor, http::Handler, http::Http2Admission {
 public:
  class Owner {
   public:
    // As http::Handler::handle(): the peer is a load balancer of the site.
    virtual Task<void> handle_hop(http::Exchange& exchange) = 0;
    // The status of kHopHealthPath.
    virtual int health() const = 0;

   protected:
    ~Owner() = default;
  };

  // `visitors`: whose counters and error pages heads get that could not be read.
  HopServer(Reactor& reactor, http::Handler& visitors, Owner& owner, const Log& log);

  // Null: none. Connections end whose peer is refused now; the others stay as they are.
  void use_credentials(std::shared_ptr<const HopCredentials> credentials);
  void use_site(std::shared_ptr<const topology::Site> site);
  // Of exchanges, and how many connections there may be.
  void set_limits(const http::ServerLimits& limits);
  void accepted(Descriptor socket, const net::Peer& peer) override;
  // As of http::Http2Server.
  void set_closing(bool closing) { server_.set_closing(closing); }
  Task<void> drain(Duration limit) { return server_.drain(limit); }
  void hasten(Duration limit) { server_.hasten(limit); }
  const http::Http2Server::Metrics& metrics() const { return server_.metrics(); }
  uint64_t exchanges_made() const { return server_.exchanges_made(); }

 private:
  Task<void> handle(http::Exchange& exchange) override;
  void refused(int status, const char* why, const net::Peer& peer) override;
  std::string_view error_page(int status) override;
  const char* refusal_of(std::string_view certificate_der) override;
  bool expects(const net::Ip& from) const override;
  Task<void> answer_health(http::Exchange& exchange);

  http::Handler& visitors_;
  Owner& owner_;
  std::shared_ptr<const HopCredentials> credentials_;
  std::shared_ptr<const topology::Site> site_;
  std::vector<net::Ip> load_balancers_;  // their addresses in the site file
  http::Http2Server server_;
};

}  // namespace terrace::program
