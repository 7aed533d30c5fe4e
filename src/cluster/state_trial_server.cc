#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <list>

#include "cluster/state_trial.h"
#include "net/listener.h"

namespace terrace::cluster::trial {
namespace {

constexpr Duration kAskMax = std::chrono::seconds(25);

std::string socket_of(const std::string& folder, const std::string& server) {
  return folder + "/" + server + ".sock";
}

Task<Result<void>> read_exactly(net::Stream& stream, std::span<char> into, Time deadline) {
  while (!into.empty()) {
    const Result<size_t> n = stream.read_now(into);
    if (n && *n == 0) co_return fail(Code::kClosed, "read");
    if (n) into = into.subspan(*n);
    if (n) continue;
    if (n.error().code != Code::kWouldBlock) co_return std::unexpected(n.error());
    const Result<void> readable = co_await stream.readable(deadline);
    if (!readable) co_return readable;
  }
  co_return Result<void>();
}

class Server final : public net::Acceptor {
 public:
  Server(Reactor& reactor, const Log& log, const ServerOptions& options)
      : reactor_(reactor),
        options_(options),
        transport_(reactor, options.folder, options.name),
        state_(reactor, log, transport_,
               {.server = options.name, .folder = options.folder + "/" + options.name}) {}

  Result<void> start() {
    if (const Result<void> opened = state_.open(); !opened) return opened;
    if (state_.placement().generation == 0 && options_.founds) {
      if (const Result<void> founded = state_.found(); !founded) return founded;
    } else if (state_.placement().generation == 0) {
      state_.join({.generation = 1, .holders = {options_.first}});
    }
    scope_.spawn(follow_servers());
    return {};
  }

  void accepted(Descriptor socket, const net::Peer&) override { scope_.spawn(serve(std::move(socket))); }

 private:
  Task<void> follow_servers() {
    for (;;) {
      state_.use(read_servers(options_.folder));
      co_await sleep(reactor_, std::chrono::milliseconds(100));
    }
  }

  Task<void> serve(Descriptor socket) {
    net::Stream stream;
    if (!stream.open(reactor_, std::move(socket))) co_return;
    const Time deadline = reactor_.now() + kAskMax;
    const Result<std::string> asked = co_await receive_text(stream, deadline);
    if (!asked) co_return;
    const size_t end = asked->find('\n');
    std::string asker = asked->substr(0, end);
    std::string request = asked->substr(end + 1);
    std::string text;
    if (asker == kClient) {
      text = co_await answer_client(std::move(request), reactor_.now() + std::chrono::milliseconds(2500));
    } else {
      text = co_await state_.answer(std::move(asker), std::move(request), deadline);
    }
    const Result<void> sent = co_await send_text(stream, std::move(text));
    (void)sent;
  }

  Task<std::string> answer_client(std::string request, Time deadline) {
    Result<StateRequest> parsed = parse_state_request(request);
    if (!parsed) co_return std::string();
    if (std::holds_alternative<WhereRequest>(*parsed)) co_return to_json(StateAnswer(state_.placement()));
    if (auto* commit = std::get_if<Commit>(&*parsed)) {
      const Committed committed = co_await state_.commit(std::move(*commit), deadline);
      co_return to_json(StateAnswer(committed));
    }
    const std::string key = std::get<GetRequest>(*parsed).key;
    if (options_.stale_reads) {
      const Entry* entry = state_.copy().entries().find(key);
      co_return to_json(entry == nullptr ? StateAnswer(Absent{}) : StateAnswer(*entry));
    }
    const Result<std::optional<Entry>> got = co_await state_.get(key, deadline);
    if (!got) co_return to_json(StateAnswer(Unanswered{describe(got.error()), {}}));
    co_return to_json(*got ? StateAnswer(**got) : StateAnswer(Absent{}));
  }

  Reactor& reactor_;
  ServerOptions options_;
  SocketTransport transport_;
  SharedState state_;
  Scope scope_;
};

}  // namespace

std::string cut_file(const std::string& folder, const std::string& from, const std::string& to) {
  return folder + "/cuts/" + from + "-" + to;
}

Task<Result<void>> send_text(net::Stream& stream, std::string text) {
  const auto length = static_cast<uint32_t>(text.size());
  std::string bytes(sizeof length, '\0');
  std::memcpy(bytes.data(), &length, sizeof length);
  bytes += text;
  Result<void> sent = co_await stream.write_all(bytes, std::chrono::seconds(2));
  co_return sent;
}

Task<Result<std::string>> receive_text(net::Stream& stream, Time deadline) {
  uint32_t length = 0;
  char bytes[sizeof length];
  const Result<void> head = co_await read_exactly(stream, bytes, deadline);
  if (!head) co_return std::unexpected(head.error());
  std::memcpy(&length, bytes, sizeof length);
  if (length > kStateTextBytesMax) co_return fail(Code::kLimit, "receive");
  std::string text(length, '\0');
  const Result<void> body = co_await read_exactly(stream, text, deadline);
  if (!body) co_return std::unexpected(body.error());
  co_return text;
}

bool SocketTransport::cut(const std::string& server) const {
  return ::access(cut_file(folder_, self_, server).c_str(), F_OK) == 0;
}

Task<Result<std::string>> SocketTransport::ask(std::string server, std::string request, Time deadline) {
  if (cut(server)) co_return fail(Code::kUnavailable, "ask", "cut");
  const Result<net::Address> address = net::Address::unix_socket(socket_of(folder_, server));
  if (!address) co_return fail(Code::kUnavailable, "ask");
  net::Stream stream;
  const Result<void> connected = co_await stream.connect(reactor_, *address, deadline);
  if (!connected) co_return fail(Code::kUnavailable, "connect");
  const Result<void> sent = co_await send_text(stream, self_ + "\n" + request);
  if (!sent) co_return std::unexpected(sent.error());
  Result<std::string> answer = co_await receive_text(stream, deadline);
  // A cut that began meanwhile takes the answer.
  if (cut(server)) co_return fail(Code::kTimeout, "ask", "cut");
  co_return answer;
}

std::vector<SiteServer> read_servers(const std::string& folder) {
  std::ifstream file(folder + "/servers");
  std::vector<SiteServer> servers;
  for (std::string line; std::getline(file, line);) {
    const size_t equals = line.find('=');
    if (equals != std::string::npos) servers.push_back({line.substr(0, equals), line.substr(equals + 1)});
  }
  return servers;
}

int run_server(const ServerOptions& options) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  const SystemClock clock;
  const Log log(options.name);
  const std::unique_ptr<Reactor> reactor = Reactor::create(clock, {}).value();
  Server server(*reactor, log, options);
  const std::string path = socket_of(options.folder, options.name);
  ::unlink(path.c_str());
  if (const Result<void> started = server.start(); !started) {
    log.error("cannot start", {{"error", describe(started.error())}});
    ::_exit(1);
  }
  Descriptor socket = net::listen_on(net::Address::unix_socket(path).value()).value();
  net::Listener listener(*reactor, std::move(socket), server, log);
  if (!listener.start()) ::_exit(1);
  reactor->run();
  ::_exit(0);
}

}  // namespace terrace::cluster::trial
