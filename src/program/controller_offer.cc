// The controller's part about what the member brings from the other servers: versions of
// the site file, and secrets.

#include <string.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "program/control.h"
#include "program/controller.h"
#include "program/secrets.h"
#include "program/site_file.h"
#include "program/text_descriptor.h"
#include "program/upload.h"

namespace terrace::program {
namespace {

using Json = nlohmann::json;

std::string line_of(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
}

std::string failure(const std::string& text) { return line_of({{"ok", false}, {"error", text}}); }

std::string result_of(const std::string& problem) {
  return problem.empty() ? line_of({{"ok", true}}) : failure(problem);
}

}  // namespace

// ---- the site file

Task<std::string> Controller::answer_take_site(Conversation& talk, std::shared_ptr<Offer> offer) {
  Result<std::string> text =
      co_await receive_text(talk, kSiteFileBytesMax, reactor_.now() + kControlRequestTimeout);
  if (!text) co_return failure("the site file was not received: " + describe(text.error()));
  if (stopping_) co_return failure("the site stops");
  // Else this server would be another one than the rest of its site.
  if (applied_ != 0 && offer->version == 0 && !offer->check_only)
    co_return failure(
        "this server is one of several, and its member, which applies to all of them, does not answer");
  offer->text = std::move(*text);
  ask_for_reload({.error = 0, .file = {}, .secrets = {}, .offer = offer});
  co_await offer->done.wait();
  const ReloadResult& result = offer->result;
  if (result.accepted)
    co_return line_of({{"ok", true}, {"changed", result.changed}, {"warnings", result.text}});
  co_return line_of({{"ok", false},
                     {"error", "this server refuses the site file"},
                     {"diagnostics", Json::array({result.text})}});
}

Task<std::string> Controller::write_site_file(std::string text) {
  const Result<Descriptor> memory = make_text_descriptor(text);
  if (!memory) co_return describe(memory.error());
  const uint32_t id = ++writes_asked_;
  tell_supervisor(WriteSite{.id = id}, memory->get());
  const std::string problem = co_await wait_until_written(id);
  co_return problem;
}

Task<std::string> Controller::wait_until_written(uint32_t id) {
  while (!written_.contains(id)) {
    write_answered_.reset();
    co_await write_answered_.wait();
  }
  const Written answer = written_.extract(id).mapped();
  co_return answer.failed != 0 ? std::string(answer.error.view()) : "";
}

// ---- secrets

// One who asks at a time: reload_when_asked() and answer_read_secrets().
Task<Controller::HandedSecrets> Controller::read_secrets() {
  while (reading_secrets_) co_await secrets_answered_.wait();
  reading_secrets_ = true;
  secrets_answered_.reset();
  tell_supervisor(ReadSecrets{});
  co_await secrets_answered_.wait();
  reading_secrets_ = false;
  co_return std::exchange(secrets_read_, {});
}

Task<std::string> Controller::answer_store_secret(Conversation& talk, std::string name) {
  Result<std::string> value =
      co_await receive_text(talk, kSecretBytesMax, reactor_.now() + kControlRequestTimeout);
  if (!value) co_return failure("the value was not received: " + describe(value.error()));
  Result<Descriptor> memory = make_text_descriptor(*value);
  ::explicit_bzero(value->data(), value->size());
  StoreSecret record{.id = ++writes_asked_};
  if (!memory || !record.name.set(name)) co_return failure("the secret cannot be stored");
  tell_supervisor(record, memory->get());
  const std::string problem = co_await wait_until_written(record.id);
  co_return result_of(problem);
}

Task<std::string> Controller::answer_remove_secret(std::string name) {
  StoreSecret record{.id = ++writes_asked_, .removes = 1};
  if (!record.name.set(name)) co_return failure("that is no name of a secret");
  tell_supervisor(record);
  const std::string problem = co_await wait_until_written(record.id);
  co_return result_of(problem);
}

Task<std::string> Controller::answer_read_secrets(Conversation& talk) {
  const HandedSecrets secrets = co_await read_secrets();
  Result<std::string> packed = secrets.error != 0 || !secrets.packed
                                   ? fail_system("secrets", secrets.error)
                                   : read_text_descriptor(secrets.packed.get(), kPackedSecretsBytesMax);
  if (!packed) co_return failure("the secrets cannot be read: " + describe(packed.error()));
  std::string said = R"({"ready":true})"
                     "\n";
  for (std::string_view rest = *packed; !rest.empty();) {
    const std::string_view part = rest.substr(0, kUploadFrameBytesMax);
    said.append(upload_length(part.size())).append(part);
    rest.remove_prefix(part.size());
  }
  said += upload_length(0) + line_of({{"ok", true}});
  ::explicit_bzero(packed->data(), packed->size());
  co_return said;
}

}  // namespace terrace::program
