// The member's socket (member_commands.h).

#include "program/member_commands.h"

#include <sys/stat.h>
#include <unistd.h>

#include <nlohmann/json.hpp>

#include "net/stream.h"
#include "program/control.h"
#include "program/member.h"

namespace terrace::program {
namespace {

using Json = nlohmann::json;

std::string line_of(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
}

std::string failure(const std::string& text) { return line_of({{"ok", false}, {"error", text}}); }

}  // namespace

// Its folder is open to the member's group alone.
Result<void> Member::open_socket() {
  const std::string path = member_socket(folders_);
  const Result<net::Address> address = net::Address::unix_socket(path);
  if (!address) return std::unexpected(address.error());
  ::unlink(path.c_str());
  Result<Descriptor> socket = net::listen_on(*address);
  if (!socket) return std::unexpected(socket.error());
  if (::chmod(path.c_str(), 0660) != 0) return fail_system("chmod");
  socket_ =
      std::make_unique<net::Listener>(reactor_, std::move(*socket), static_cast<net::Acceptor&>(*this), log_);
  return socket_->start();
}

void Member::accepted(Descriptor socket, const net::Peer&) {
  if (conversations_ >= kMemberConversationsMax) return;
  ++conversations_;
  scope_.spawn(serve(std::move(socket)));
}

// One line in; lines about progress and one answer out.
Task<void> Member::serve(Descriptor socket) {
  net::Stream stream;
  if (stream.open(reactor_, std::move(socket))) {
    RequestLine line;
    const Result<void> read =
        co_await read_request_line(stream, line, reactor_.now() + kControlRequestTimeout);
    if (read) {
      Conversation conversation(stream, std::move(line.unread));
      const std::string answered = co_await answer(line.text, conversation);
      const std::string said = conversation.take_pending() + answered;
      const Result<void> written = co_await stream.write_all(said, kControlRequestTimeout);
      if (!written) log_.debug("an answer was not taken", {{"error", describe(written.error())}});
    }
  }
  --conversations_;
}

Task<std::string> Member::answer(std::string_view line, Conversation&) {
  const Json request = Json::parse(line, nullptr, false);
  std::string command;
  if (request.is_object() && request.value("command", Json()).is_string())
    command = request["command"].get<std::string>();
  if (command == "ping") co_return line_of({{"ok", true}, {"pid", ::getpid()}});
  co_return failure("unknown command");
}

}  // namespace terrace::program
