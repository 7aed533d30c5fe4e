#include "program/member_talk.h"

#include <nlohmann/json.hpp>

#include "program/control_client.h"
#include "program/json_value.h"

namespace terrace::program {
namespace {

using Json = nlohmann::json;

}  // namespace

Task<void> PeerTalk::progress(std::string step, std::string line) {
  const Json json = {{"progress", step}, {"line", line}};
  std::string text = json.dump(-1, ' ', false, Json::error_handler_t::replace);
  const Result<void> sent = co_await channel.send_message(std::move(text));
  (void)sent;  // who has left does not end what is under way
}

Task<Result<Reply>> receive_reply(cluster::Channel& channel, size_t data_bytes_max,
                                  Conversation* conversation, Time deadline) {
  Reply reply;
  for (;;) {
    Result<cluster::Frame> frame = co_await channel.receive(deadline);
    if (!frame) co_return std::unexpected(frame.error());
    if (frame->kind == cluster::FrameKind::kEnd) continue;
    if (frame->kind == cluster::FrameKind::kData) {
      if (reply.data.size() + frame->body.size() > data_bytes_max)
        co_return fail(Code::kLimit, "answer", "the other server sends too much");
      reply.data += frame->body;
      continue;
    }
    const std::optional<ControlProgress> progress = parse_progress(frame->body);
    if (!progress) {
      reply.message = std::move(frame->body);
      co_return reply;
    }
    if (conversation != nullptr) conversation->progress(progress->step, progress->line);
  }
}

bool is_good(std::string_view answer) {
  const Json json = Json::parse(answer, nullptr, false);
  return json.is_object() && value_of<bool>(json, "ok");
}

std::string error_in(std::string_view answer) {
  const Json json = Json::parse(answer, nullptr, false);
  const std::string error = json.is_object() ? value_of<std::string>(json, "error") : "";
  return error.empty() ? "its answer cannot be read" : error;
}

std::string failure_line(std::string_view error) {
  const Json json = {{"ok", false}, {"error", error}};
  return json.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace terrace::program
