// The controller's part about backups: what site_backups.h needs of it, and the
// answers at the control socket.

#include <nlohmann/json.hpp>

#include "program/controller.h"

namespace terrace::program {
namespace {

using Json = nlohmann::json;

std::string text_of(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
}

Json answer_of(const SiteBackups::Done& done) {
  if (!done.result.ok) return {{"ok", false}, {"error", done.result.error}};
  return {{"ok", true},
          {"backup", done.result.name},
          {"database_bytes", done.result.database_bytes},
          {"rows", done.result.rows},
          {"seconds", std::chrono::duration<double>(done.took).count()}};
}

}  // namespace

std::string Controller::restore_obstacle() const {
  if (deploy_) return "a deploy is under way: try again when it is done";
  if (first_migration_) return "the site's first `migrate` is under way: try again when it is done";
  return lifecycle_.rolling() ? "a restart is under way: try again when it is done" : "";
}

void Controller::hold_app() {
  lifecycle_.hold(reactor_.now());
  settle();
}

void Controller::release_app() {
  lifecycle_.release(reactor_.now());
  // What was put off for the restore: the first `migrate`, above all.
  configure_app();
  settle();
}

Task<std::string> Controller::answer_backup(Conversation& conversation) {
  const JobLine say = [&conversation](std::string_view line) { conversation.progress("backup", line); };
  const SiteBackups::Done done = co_await backups_.back_up(say);
  Json json = answer_of(done);
  if (done.result.ok) {
    json["bytes"] = done.result.bytes;
    json["kept"] = done.result.kept;
  }
  co_return text_of(json);
}

Task<std::string> Controller::answer_restore(std::string name, Conversation& conversation) {
  const JobLine say = [&conversation](std::string_view line) { conversation.progress("restore", line); };
  const SiteBackups::Done done = co_await backups_.restore(std::move(name), say);
  Json json = answer_of(done);
  if (!done.kept.empty()) json["kept"] = done.kept;
  co_return text_of(json);
}

}  // namespace terrace::program
