#include "program/conversation.h"

#include <nlohmann/json.hpp>

namespace terrace::program {

void Conversation::progress(std::string_view step, std::string_view line) {
  const nlohmann::json json = {{"progress", step}, {"line", line}};
  say(json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace));
}

void Conversation::say(std::string_view line) {
  if (pending_.size() + line.size() < kPendingBytesMax) pending_.append(line) += '\n';
  const Result<size_t> written = stream_.write_now(pending_);
  if (written) pending_.erase(0, *written);
}

}  // namespace terrace::program
