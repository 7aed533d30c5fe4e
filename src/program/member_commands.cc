// The member's socket (member_commands.h).

#include "program/member_commands.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

#include "net/stream.h"
#include "program/control.h"
#include "program/json_value.h"
#include "program/member.h"

namespace terrace::program {
namespace {

using Json = nlohmann::json;

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

// A command that is not here there is not.
std::span<const Member::PeopleCommand> Member::people_commands() {
  static constexpr std::array kAll{
      PeopleCommand{"ping", &Member::answer_ping},
      PeopleCommand{"status", &Member::answer_status},
      PeopleCommand{"logs", &Member::answer_logs},
      PeopleCommand{"on-server", &Member::answer_on_server},
      PeopleCommand{"restart", &Member::answer_restart},
      PeopleCommand{"change-secret", &Member::answer_change_secret},
      PeopleCommand{"token", &Member::answer_token},
      PeopleCommand{"revoke", &Member::answer_revoke},
      PeopleCommand{"certificates", &Member::answer_certificates},
      PeopleCommand{"rotate", &Member::answer_rotate},
      PeopleCommand{"newest", &Member::answer_newest},
      PeopleCommand{"apply", &Member::answer_apply},
      PeopleCommand{"history", &Member::answer_history},
      PeopleCommand{"deploy", &Member::answer_deploy},
      PeopleCommand{"rollback", &Member::answer_rollback},
      PeopleCommand{"cancel-deploy", &Member::answer_cancel_deploy},
  };
  return kAll;
}

Task<std::string> Member::answer(std::string line, Conversation& conversation) {
  const Json request = Json::parse(line, nullptr, false);
  const auto command = request.is_object() ? value_of<std::string>(request, "command") : "";
  const std::span<const PeopleCommand> all = people_commands();
  const auto found = std::ranges::find(all, command, &PeopleCommand::name);
  if (found == all.end()) co_return failure_line("unknown command");
  std::string answered = co_await (this->*found->answer)(std::move(line), conversation);
  if (!answered.ends_with('\n')) answered += '\n';
  co_return answered;
}

}  // namespace terrace::program
