#include "program/conversation.h"

#include <nlohmann/json.hpp>

#include "program/upload.h"

#include "program/control.h"

namespace terrace::program {

Task<Result<void>> read_request_line(net::Stream& stream, RequestLine& line, Time deadline) {
  std::string bytes;
  while (bytes.find('\n') == std::string::npos) {
    if (bytes.size() > kControlRequestBytesMax) co_return fail(Code::kLimit, "request", "too long");
    char block[4096];
    const Result<size_t> read = stream.read_now(block);
    if (read) bytes.append(block, *read);
    if (read && *read == 0) co_return fail(Code::kClosed, "request");
    if (read) continue;
    if (read.error().code != Code::kWouldBlock) co_return std::unexpected(read.error());
    const Result<void> readable = co_await stream.readable(deadline);
    if (!readable) co_return readable;
  }
  const size_t end = bytes.find('\n');
  line = {.text = bytes.substr(0, end), .unread = bytes.substr(end + 1)};
  co_return Result<void>();
}

void Conversation::progress(std::string_view step, std::string_view line) {
  const nlohmann::json json = {{"progress", step}, {"line", line}};
  say(json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace));
}

void Conversation::say(std::string_view line) {
  if (pending_.size() + line.size() < kPendingBytesMax) pending_.append(line) += '\n';
  const Result<size_t> written = stream_.write_now(pending_);
  if (written) pending_.erase(0, *written);
}

Task<Result<void>> Conversation::send(std::string line) {
  const std::string bytes = take_pending() + line + "\n";
  pending_.clear();
  const Result<void> written = co_await stream_.write_all(bytes, kControlRequestTimeout);
  co_return written;
}

Task<Result<std::string>> receive_text(Conversation& talk, size_t bytes_max, Time deadline) {
  UploadFrames frames;
  std::string text;
  std::string block = talk.take_unread();
  for (;;) {
    const Result<std::vector<std::string_view>> contents = frames.add(block);
    if (!contents) co_return std::unexpected(contents.error());
    for (const std::string_view part : *contents) text += part;
    if (text.size() > bytes_max) co_return fail(Code::kLimit, "text", "it is too long");
    if (frames.complete()) co_return text;
    block.resize(16 << 10);
    const Result<size_t> read = talk.stream().read_now(block);
    block.resize(read ? *read : 0);
    if (read && *read == 0) co_return fail(Code::kClosed, "text", "it was cut off");
    if (read) continue;
    if (read.error().code != Code::kWouldBlock) co_return std::unexpected(read.error());
    const Result<void> readable = co_await talk.stream().readable(deadline);
    if (!readable) co_return std::unexpected(readable.error());
  }
}

}  // namespace terrace::program
