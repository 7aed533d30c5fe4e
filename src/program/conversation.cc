#include "program/conversation.h"

#include <nlohmann/json.hpp>

namespace terrace::program {

void Conversation::progress(std::string_view step, std::string_view line) {
  const nlohmann::json json = {{"progress", step}, {"line", line}};
  const std::string text = json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
  if (pending_.size() + text.size() <= kPendingBytesMax) pending_ += text;
  const Result<size_t> written = stream_.write_now(pending_);
  if (written) pending_.erase(0, *written);
}

}  // namespace terrace::program
