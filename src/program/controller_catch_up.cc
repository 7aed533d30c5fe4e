// The controller's part about the start of one server of several: what the site has become
// while this server was away is taken before visitors are.

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "program/control_call.h"
#include "program/controller.h"
#include "program/json_value.h"
#include "program/upload.h"

namespace terrace::program {
namespace {

using Json = nlohmann::json;
using std::chrono::milliseconds;
using std::chrono::seconds;

// For the member to start, and to hear from another server.
constexpr seconds kNewestTimeout{5};
constexpr milliseconds kRetry{50};
// How long visitors are kept from a server that lacks the release which serves. Then an
// old one is better than none.
constexpr seconds kReleaseTimeout{60};
constexpr milliseconds kLook{50};

}  // namespace

// Nothing, when nobody knows: the servers go on with what they have.
Task<std::optional<Controller::Newest>> Controller::ask_for_newest(std::string text) {
  const Time deadline = reactor_.now() + kNewestTimeout;
  const std::string frames = (text.empty() ? "" : upload_length(text.size()) + text) + upload_length(0);
  while (reactor_.now() < deadline) {
    ControlCall call(reactor_);
    Result<void> asked = co_await call.ask(member_socket(folders_), R"({"command":"newest"})", deadline);
    if (asked) asked = co_await call.send(frames);
    Result<std::string> said = fail(Code::kClosed, "newest");
    if (asked) said = co_await call.line(deadline);
    const Json answer = said ? Json::parse(*said, nullptr, false) : Json();
    if (answer.is_object() && value_of<bool>(answer, "ok")) {
      co_return Newest{.version = value_of<uint64_t>(answer, "version"),
                       .text = value_of<std::string>(answer, "text"),
                       .has_release = answer.contains("release"),
                       .release = value_of<uint32_t>(answer, "release"),
                       .drained = value_of<bool>(answer, "drained")};
    }
    co_await sleep(reactor_, kRetry);
  }
  log_.warning("no other server says what the site is now: this one goes on with what it has");
  co_return std::nullopt;
}

// The first site of a server that is a member: the newest version, or what is on disk.
Task<Controller::ReloadResult> Controller::catch_up(std::string text, const HandedSecrets& secrets) {
  const std::optional<Newest> newest = co_await ask_for_newest(text);
  if (newest) take_newest_release(*newest);
  if (newest && newest->version != 0 && newest->text != text) {
    auto offer = std::make_shared<Offer>(reactor_);
    offer->version = newest->version;
    ReloadResult result = co_await reload(newest->text, secrets, offer);
    if (result.accepted) {
      log_.info("the site file has changed while this server was away",
                {{"version", static_cast<int64_t>(newest->version)}});
      co_return result;
    }
    log_.error("this server refuses the newest version of the site file and starts with its own",
               {{"version", static_cast<int64_t>(newest->version)}, {"diagnostics", result.text}});
  } else if (newest) {
    applied_ = newest->version;
  }
  ReloadResult result = co_await reload(std::move(text), secrets, nullptr);
  co_return result;
}

// Nothing runs yet, so the release that serves is only a number in a file.
void Controller::take_newest_release(const Newest& newest) {
  drained_ = newest.drained;
  if (!newest.has_release || !releases_readable_ || newest.release == releases_.current()) return;
  const Release* release = releases_.find(newest.release);
  const bool ready = release != nullptr && release->state == ReleaseState::kReady;
  if (newest.release != 0 && !ready) {
    log_.info("visitors wait for the release that serves", {{"release", int64_t{newest.release}}});
    awaited_release_ = newest.release;
    scope_.spawn(await_release());
    return;
  }
  ReleaseTable table = releases_;
  table.serve(newest.release);
  if (const Result<void> saved = release_file().save(table); !saved) {
    log_.error("releases.json could not be written", {{"error", describe(saved.error())}});
    return;
  }
  releases_ = table;
  log_.info("another release serves since this server was away", {{"release", int64_t{newest.release}}});
}

// The member brings it (stage-release) and switches to it.
Task<void> Controller::await_release() {
  const Time deadline = reactor_.now() + kReleaseTimeout;
  while (!stopping_ && (!site_ || releases_.current() != *awaited_release_) && reactor_.now() < deadline)
    co_await sleep(reactor_, kLook);
  if (stopping_) co_return;
  if (releases_.current() != *awaited_release_)
    log_.warning("the release that serves did not come: an older one serves here",
                 {{"release", int64_t{*awaited_release_}}, {"serving", int64_t{releases_.current()}}});
  awaited_release_.reset();
  while (!site_ && !stopping_) co_await sleep(reactor_, kLook);
  const std::string problem = co_await listen_again();
  if (!problem.empty()) log_.error("this server cannot listen", {{"error", problem}});
  consider_serving();
}

// What the member wants to know of this server, often.
std::string Controller::answer_served() const {
  Json ready = Json::array();
  for (const Release& each : releases_.releases) {
    if (each.state == ReleaseState::kReady) ready.push_back(each.number);
  }
  const Json answer = {{"ok", true},
                       {"started", site_ && complete_},
                       {"applied", applied_},
                       {"release", releases_.current()},
                       {"previous", releases_.previous()},
                       {"last", releases_.last},
                       {"ready", ready},
                       {"drained", drained_},
                       {"busy", !why_no_deploy().empty()}};
  return answer.dump() + "\n";
}

}  // namespace terrace::program
