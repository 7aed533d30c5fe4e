#include "web/file_server.h"

#include <array>
#include <string>
#include <vector>

#include "http/syntax.h"
#include "http/url.h"
#include "net/address.h"
#include "reactor/mailbox.h"
#include "topology/load.h"
#include "web/error_pages.h"
#include "web/files.h"
#include "web/pattern.h"
#include "web/representation.h"
#include "web/responder.h"

namespace terrace::web {
namespace {

using http::Exchange;
using http::Field;
using http::HeaderId;
using http::Method;
using http::RequestHead;

// Bytes of a path; longer ones name no file and get 414.
constexpr size_t kPathBytesMax = 8192;

bool reads(const RequestHead& request) {
  return request.method == Method::kGet || request.method == Method::kHead;
}

// A page asked for by somebody who goes there, not an image or data that is
// missing: those must not get the page of a single-page application. Browsers
// name HTML when they navigate; without an app, clients that take anything count
// too, as long as the path does not look like a file's.
bool asks_for_page(const RequestHead& request, std::string_view path, bool app_answers) {
  if (!reads(request) || request.upgrade) return false;
  const std::string_view accept = request.fields.value(HeaderId::kAccept);
  if (accept.contains("text/html")) return true;
  const bool looks_like_file = path.substr(path.rfind('/')).contains('.');
  return !app_answers && !looks_like_file && (accept.empty() || accept.contains("*/*"));
}

std::string with_query(std::string target, std::string_view query) {
  if (!query.empty()) target.append("?").append(query);
  return target;
}

Result<std::vector<net::Network>> parse_networks(const std::vector<std::string>& texts) {
  std::vector<net::Network> networks;
  for (const std::string& text : texts) {
    const Result<net::Network> network = net::Network::parse(text);
    if (!network) return std::unexpected(network.error());
    networks.push_back(*network);
  }
  return networks;
}

}  // namespace

class FileServer::State {
 public:
  State(Reactor& reactor, std::shared_ptr<const topology::Site> site, bool has_app, const Limits& limits)
      : site_(std::move(site)),
        site_file_name_(site_->path.substr(site_->path.rfind('/') + 1)),
        app_answers_(has_app && site_->web.fallback != topology::Fallback::kNone),
        www_domain_("www." + site_->site.domain),
        representation_(site_->web, limits.compress_bytes_max),
        unused_(reactor) {}

  Result<void> start(Reactor& reactor, const Limits& limits, const Log& log);
  Task<Served> serve(Exchange& exchange);
  Task<void> respond_error(Exchange& exchange, int status, std::span<const Field> extra);
  Task<void> close();

  std::string_view error_page(int status) const { return pages_.html(status); }
  std::span<const Field> extra_fields() const { return representation_.extra_fields(); }
  const Metrics& metrics() const { return metrics_; }
  void begin_use() { ++uses_; }
  void end_use() {
    if (--uses_ == 0 && closing_) unused_.set();
  }

 private:
  // A Use for the coroutines of this object itself.
  struct Held {
    explicit Held(State& state) : state(state) { state.begin_use(); }
    Held(const Held&) = delete;
    Held& operator=(const Held&) = delete;
    ~Held() { state.end_use(); }
    State& state;
  };

  bool is_site_file(std::string_view path) const;
  Task<Served> serve_path(Exchange& exchange, std::string_view path);
  Task<Served> serve_after_load(Exchange& exchange, std::string path);
  Task<Served> serve_found(Exchange& exchange, std::string_view path, Found found);
  Task<Served> serve_entry(Exchange& exchange, EntryRef entry);
  Task<Served> fall_back(Exchange& exchange, std::string_view path);
  Task<Served> serve_index_after_load(Exchange& exchange);
  Task<Served> serve_elsewhere(Exchange& exchange, std::string path);
  Task<std::string> end_folder_with_slash(std::string target);
  Task<Served> refuse_method(Exchange& exchange);
  Task<Served> answered(Task<void> answering);
  Task<Served> wait_for_answer(Task<void> answering);
  Task<void> wait_for_error(Task<void> answering);

  // The host that this request should have named, or empty.
  std::string_view other_host(const RequestHead& request) const;
  std::string_view scheme(const Exchange& exchange, const RequestHead& request) const;

  std::shared_ptr<const topology::Site> site_;
  std::string site_file_name_;
  bool app_answers_;
  std::string www_domain_;
  Metrics metrics_;
  Representation representation_;
  ErrorPages pages_;
  Redirects redirects_;
  std::vector<net::Network> trusted_;
  std::unique_ptr<Files> files_;
  std::optional<Responder> responder_;
  int uses_ = 0;
  bool closing_ = false;
  Event unused_;
};

// Files come last: from then on there is something to close.
Result<void> FileServer::State::start(Reactor& reactor, const Limits& limits, const Log& log) {
  const topology::WebTable& web = site_->web;
  Result<Redirects> redirects = Redirects::create(web.redirects);
  if (!redirects) return std::unexpected(redirects.error());
  redirects_ = std::move(*redirects);
  Result<std::vector<net::Network>> trusted = parse_networks(web.trusted);
  if (!trusted) return std::unexpected(trusted.error());
  trusted_ = std::move(*trusted);

  std::optional<Folder> folder;
  if (!web.files.empty()) {
    Result<Folder> opened = Folder::open(web.files);
    if (!opened) return std::unexpected(opened.error());
    folder = std::move(*opened);
    for (const topology::KeptFolder& kept : topology::kept_folders(*site_)) {
      const Result<void> put = folder->put(kept.at, kept.folder, kept.path);
      if (!put)
        log.warning("a folder of [app] writable is not served",
                    {{"path", kept.at}, {"error", describe(put.error())}});
    }
  }
  pages_ = ErrorPages(web, folder ? &*folder : nullptr, log);
  if (folder) {
    files_ = std::make_unique<Files>(reactor, web, std::move(*folder), representation_, limits, metrics_);
    files_->watch(log);
  }
  responder_.emplace(representation_, pages_, files_.get());
  return {};
}

Task<Served> FileServer::State::serve(Exchange& exchange) {
  const RequestHead& request = exchange.request();
  // OPTIONS for the server as a whole, RFC 9110 section 9.3.7.
  if (request.target == "*") {
    return answered(responder_->allow(exchange, "GET, HEAD, OPTIONS, POST, PUT, PATCH, DELETE"));
  }
  std::array<char, kPathBytesMax> buffer;
  if (request.path.size() > buffer.size()) return answered(responder_->error(exchange, 414));
  const Result<std::string_view> path = http::normalise_path(request.path, buffer);
  if (!path && app_answers_ && other_host(request).empty() && http::has_opaque_slash(request.path))
    return Task<Served>::ready(Served::kNotMine);
  if (!path) return answered(responder_->error(exchange, 400));
  if (redirects_.match(*path) || !other_host(request).empty()) {
    return serve_elsewhere(exchange, std::string(*path));
  }
  return serve_path(exchange, *path);
}

// Files alone may lie in one folder with their site file, in a release too.
bool FileServer::State::is_site_file(std::string_view path) const {
  const std::string_view name = path.substr(path.rfind('/') + 1);
  return !app_answers_ && !name.empty() && name == site_file_name_;
}

Task<Served> FileServer::State::serve_path(Exchange& exchange, std::string_view path) {
  // What is posted is the app's, whether a file has that name or not.
  const bool posted = exchange.request().method == Method::kPost && app_answers_;
  if (files_ == nullptr || posted) return fall_back(exchange, path);
  if (is_hidden(path) || is_site_file(path)) return answered(responder_->error(exchange, 404));
  Found found = files_->find(path);
  if (found.status == Found::Status::kPending) return serve_after_load(exchange, std::string(path));
  return serve_found(exchange, path, std::move(found));
}

Task<Served> FileServer::State::serve_after_load(Exchange& exchange, std::string path) {
  const Held held(*this);
  Found found = co_await files_->load(path);
  co_return co_await serve_found(exchange, path, std::move(found));
}

Task<Served> FileServer::State::serve_found(Exchange& exchange, std::string_view path, Found found) {
  switch (found.status) {
    case Found::Status::kEntry:
      break;
    case Found::Status::kMissing:
      return fall_back(exchange, path);
    case Found::Status::kRefused:
      return answered(responder_->error(exchange, 404));
    case Found::Status::kPending:
    case Found::Status::kFailed:
      return answered(responder_->error(exchange, 503));
  }
  if (!reads(exchange.request())) return refuse_method(exchange);
  if (!found.entry->is_folder) return answered(responder_->file(exchange, std::move(found.entry)));
  const std::string target = with_query(encode_path(path) + '/', exchange.request().query);
  return answered(responder_->redirect(exchange, 308, target));
}

Task<Served> FileServer::State::refuse_method(Exchange& exchange) {
  const Field allow{.name = "Allow", .value = "GET, HEAD", .id = HeaderId::kAllow, .hop_by_hop = false};
  return answered(responder_->error(exchange, 405, {&allow, 1}));
}

Task<Served> FileServer::State::fall_back(Exchange& exchange, std::string_view path) {
  const bool has_index = site_->web.fallback == topology::Fallback::kIndex && files_ != nullptr;
  if (has_index && asks_for_page(exchange.request(), path, app_answers_)) {
    Found index = files_->find("/");
    if (index.status == Found::Status::kPending) return serve_index_after_load(exchange);
    if (index.entry) return answered(responder_->file(exchange, std::move(index.entry)));
  }
  if (app_answers_) return Task<Served>::ready(Served::kNotMine);
  return answered(responder_->error(exchange, 404));
}

Task<Served> FileServer::State::serve_index_after_load(Exchange& exchange) {
  const Held held(*this);
  Found index = co_await files_->load("/");
  if (index.entry) {
    co_await responder_->file(exchange, std::move(index.entry));
  } else {
    co_await responder_->error(exchange, index.status == Found::Status::kFailed ? 503 : 404);
  }
  co_return Served::kAnswered;
}

// One redirect for all that is not where it should be: the host, a path that has
// moved, a folder without its slash.
Task<Served> FileServer::State::serve_elsewhere(Exchange& exchange, std::string path) {
  const Held held(*this);
  const RequestHead& request = exchange.request();
  const std::string_view host = other_host(request);
  std::optional<Redirect> redirect = redirects_.find(path, request.query);
  if (!redirect && host.empty()) co_return co_await serve_path(exchange, path);
  if (!redirect) redirect = Redirect{.target = with_query(encode_path(path), request.query)};
  std::string target = std::move(redirect->target);
  if (target.starts_with('/')) {
    target = co_await end_folder_with_slash(std::move(target));
    if (!host.empty()) {
      std::string origin(scheme(exchange, request));
      origin.append("://").append(host).append(
          request.authority.substr(http::host_of(request.authority).size()));
      target.insert(0, origin);
    }
  }
  co_await responder_->redirect(exchange, redirect->status, target);
  co_return Served::kAnswered;
}

Task<std::string> FileServer::State::end_folder_with_slash(std::string target) {
  const size_t path_end = std::min(target.find('?'), target.size());
  std::string path(path_end, '\0');
  const Result<std::string_view> normal =
      http::normalise_path(std::string_view(target).substr(0, path_end), path);
  if (files_ == nullptr || !normal || normal->ends_with('/') || is_hidden(*normal)) co_return target;
  Found found = files_->find(*normal);
  if (found.status == Found::Status::kPending) found = co_await files_->load(std::string(*normal));
  if (found.entry && found.entry->is_folder) target.insert(path_end, "/");
  co_return target;
}

std::string_view FileServer::State::other_host(const RequestHead& request) const {
  const std::string& domain = site_->site.domain;
  if (domain.empty() || site_->site.www == topology::Www::kOff) return {};
  const bool to_bare = site_->site.www == topology::Www::kToBare;
  const std::string_view wrong = to_bare ? std::string_view(www_domain_) : std::string_view(domain);
  if (!http::equals_ignoring_case(http::host_of(request.authority), wrong)) return {};
  return to_bare ? std::string_view(domain) : std::string_view(www_domain_);
}

// What the client used, as far as it can be known: a proxy of ours says it.
std::string_view FileServer::State::scheme(const Exchange& exchange, const RequestHead& request) const {
  const net::Peer& peer = exchange.peer();
  bool trusted = peer.local;
  for (const net::Network& network : trusted_) trusted = trusted || network.contains(peer.ip);
  const std::string_view said = request.fields.value(HeaderId::kXForwardedProto);
  return trusted && http::equals_ignoring_case(said, "https") ? "https" : "http";
}

Task<Served> FileServer::State::answered(Task<void> answering) {
  metrics_.answered.add();
  if (answering.await_ready()) return Task<Served>::ready(Served::kAnswered);
  return wait_for_answer(std::move(answering));
}

Task<Served> FileServer::State::wait_for_answer(Task<void> answering) {
  const Held held(*this);
  co_await answering;
  co_return Served::kAnswered;
}

Task<void> FileServer::State::respond_error(Exchange& exchange, int status, std::span<const Field> extra) {
  Task<void> answering = responder_->error(exchange, status, extra);
  if (answering.await_ready()) return answering;
  return wait_for_error(std::move(answering));
}

Task<void> FileServer::State::wait_for_error(Task<void> answering) {
  const Held held(*this);
  co_await answering;
}

Task<void> FileServer::State::close() {
  closing_ = true;
  if (uses_ > 0) co_await unused_.wait();
  if (files_ != nullptr) co_await files_->close();
}

Result<std::unique_ptr<FileServer>> FileServer::create(Reactor& reactor,
                                                       std::shared_ptr<const topology::Site> site,
                                                       bool has_app, const Limits& limits, const Log& log) {
  auto state = std::make_unique<State>(reactor, std::move(site), has_app, limits);
  const Result<void> started = state->start(reactor, limits, log);
  if (!started) return std::unexpected(started.error());
  return std::unique_ptr<FileServer>(new FileServer(std::move(state)));
}

FileServer::FileServer(std::unique_ptr<State> state) : state_(std::move(state)) {}
FileServer::~FileServer() = default;

Task<Served> FileServer::serve(Exchange& exchange) { return state_->serve(exchange); }
Task<void> FileServer::respond_error(Exchange& exchange, int status, std::span<const Field> extra) {
  return state_->respond_error(exchange, status, extra);
}
std::string_view FileServer::error_page(int status) { return state_->error_page(status); }
std::span<const Field> FileServer::extra_fields() const { return state_->extra_fields(); }
Task<void> FileServer::close() { return state_->close(); }
const Metrics& FileServer::metrics() const { return state_->metrics(); }

FileServer::Use::Use(FileServer& server) : server_(&server) { server.state_->begin_use(); }
FileServer::Use::Use(Use&& other) noexcept : server_(std::exchange(other.server_, nullptr)) {}
FileServer::Use::~Use() {
  if (server_ != nullptr) server_->state_->end_use();
}

}  // namespace terrace::web
