#include "program/control_call.h"

#include "program/control.h"
#include "program/control_client.h"

namespace terrace::program {

Task<Result<void>> ControlCall::ask(std::string socket, std::string line, Time deadline) {
  const Result<net::Address> address = net::Address::unix_socket(socket);
  if (!address) co_return std::unexpected(address.error());
  const Result<void> connected = co_await stream_.connect(reactor_, *address, deadline);
  if (!connected) co_return connected;
  line += '\n';
  const Result<void> sent = co_await stream_.write_all(line, kControlRequestTimeout);
  co_return sent;
}

Task<Result<void>> ControlCall::send(std::string_view bytes) {
  const Result<void> sent = co_await stream_.write_all(bytes, kControlRequestTimeout);
  co_return sent;
}

Task<Result<std::string>> ControlCall::bytes(Time deadline) {
  if (!unread_.empty()) co_return std::exchange(unread_, {});
  for (;;) {
    const std::span<char> scratch = reactor_.scratch();
    const Result<size_t> read = stream_.read_now(scratch);
    if (read) co_return std::string(scratch.data(), *read);
    if (read.error().code != Code::kWouldBlock) co_return std::unexpected(read.error());
    const Result<void> waited = co_await stream_.readable(deadline);
    if (!waited) co_return std::unexpected(waited.error());
  }
}

Task<Result<std::string>> ControlCall::line(Time deadline) {
  std::string text;
  for (;;) {
    Result<std::string> more = co_await bytes(deadline);
    if (!more) co_return more;
    if (more->empty()) co_return fail(Code::kClosed, "answer", "the controller closed without an answer");
    text += *more;
    if (const size_t end = text.find('\n'); end != std::string::npos) {
      unread_ = text.substr(end + 1);
      text.resize(end);
      co_return text;
    }
    if (text.size() > kControlAnswerBytesMax) co_return fail(Code::kLimit, "answer", "too long");
  }
}

Task<Result<std::string>> ask_controller(Reactor& reactor, std::string socket, std::string line,
                                         Conversation* conversation, Time deadline) {
  ControlCall call(reactor);
  const Result<void> asked = co_await call.ask(std::move(socket), std::move(line), deadline);
  if (!asked) co_return std::unexpected(asked.error());
  for (;;) {
    Result<std::string> said = co_await call.line(deadline);
    const std::optional<ControlProgress> progress = said ? parse_progress(*said) : std::nullopt;
    if (!progress) co_return said;
    if (conversation != nullptr) conversation->progress(progress->step, progress->line);
  }
}

}  // namespace terrace::program
