#include "web/file_server.h"
namespace terrace::web {
class FileServer::State {
 public:
  Metrics m;
};
FileServer::FileServer(std::unique_ptr<State> s) : state_(std::move(s)) {}
FileServer::~FileServer() = default;
Result<std::unique_ptr<FileServer>> FileServer::create(Reactor&, std::shared_ptr<const topology::Site>, bool,
                                                       const Limits&, const Log&) {
  return std::unique_ptr<FileServer>(new FileServer(std::make_unique<State>()));
}
Task<Served> FileServer::serve(http::Exchange&) { return Task<Served>::ready(Served::kNotMine); }
Task<void> FileServer::respond_error(http::Exchange& ex, int status) {
  http::ResponseHead h;
  h.status = status;
  (void)co_await ex.respond(h, "error\n");
}
std::string_view FileServer::error_page(int) { return "error\n"; }
std::span<const http::Field> FileServer::extra_fields() const { return {}; }
FileServer::Use::Use(FileServer& s) : server_(&s) {}
FileServer::Use::Use(Use&& o) noexcept : server_(o.server_) {}
FileServer::Use::~Use() {}
Task<void> FileServer::close() { return Task<void>::ready(); }
const Metrics& FileServer::metrics() const { return state_->m; }
}  // namespace terrace::web
