// The member's part about the site as a whole: how its servers are, what their logs say,
// and what one of them shall do.

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "program/control.h"
#include "program/control_call.h"
#include "program/json_value.h"
#include "program/log_query.h"
#include "program/member.h"

namespace terrace::program {

using Json = nlohmann::json;

namespace {

// A person waits: a server that is off, frozen or cut off is given up after the first, one that lives and
// is slow after the second. Its controller is given up before, so that it can say so.
constexpr AskLimits kStatusLimits{.greeting = std::chrono::seconds(1), .answer = std::chrono::seconds(3)};
constexpr std::chrono::seconds kControllerPatience{2};
// Longer than any of its holders may take to answer (shared_state.h).
constexpr std::chrono::seconds kHeardLately{10};
constexpr AskLimits kLogsLimits{
    .greeting = std::chrono::seconds(2), .answer = std::chrono::seconds(10), .data_bytes_max = 8 << 20};

std::string text_of(const Json& json) { return json.dump(-1, ' ', false, Json::error_handler_t::replace); }

// As many lines as a line of the member's socket may hold.
std::string_view whole_lines(std::string_view text) {
  constexpr size_t kMost = 128 << 10;
  if (text.size() <= kMost) return text;
  const size_t end = text.rfind('\n', kMost);
  return text.substr(0, end == std::string_view::npos ? kMost : end + 1);
}

// What a member asks of another server's controller: what a person there could ask, too.
constexpr std::string_view kForwarded[] = {"restart", "drain", "undrain"};

}  // namespace

Task<std::string> Member::answer_ping(std::string, Conversation&) {
  co_return text_of(
      {{"ok", true}, {"pid", ::getpid()}, {"member", identity_.has_value()}, {"why", why_not_}});
}

// ---- status

Task<std::string> Member::own_status(Duration patience) {
  const Result<std::string> answer = co_await ask_controller(
      reactor_, control_socket(folders_), R"({"command":"status"})", nullptr, reactor_.now() + patience);
  Json json = {{"ok", true}, {"server", identity_->server}};
  json["controller"] = answer ? Json::parse(*answer, nullptr, false) : Json();
  if (!json["controller"].is_object()) json["controller"] = nullptr;
  json["certificate_seconds"] = std::chrono::duration<double>(own_->identity.expires - wall()).count();
  json["authority"] = authority_.has_value();
  json["roles"] = own_->identity.roles;
  json["shared"] = {{"keeper", cluster::name_of(state_->placement().keeper)},
                    {"holders", state_->placement().holders},
                    {"heard", state_->heard(kHeardLately)}};
  json["shared_version"] = state_->copy().entries().version();
  if (!listen_problem_.empty()) json["problem"] = listen_problem_;
  co_return text_of(json);
}

Task<std::string> Member::answer_peer_status(PeerTalk&) {
  std::string own = co_await own_status(kControllerPatience);
  co_return own;
}

Task<void> Member::own_status_into(std::string& status) { status = co_await own_status(kControllerPatience); }

Task<std::string> Member::answer_status(std::string, Conversation&) {
  if (!identity_) co_return failure_line(why_not_);
  std::string own;
  Scope beside;
  beside.spawn(own_status_into(own));
  const std::vector<ServerReply> replies =
      co_await ask_all(other_servers(), R"({"request":"status"})", kStatusLimits);
  co_await beside.join();
  Json servers = Json::array();
  for (const topology::Server& server : site_->servers) {
    Json one = {{"name", server.name},
                {"address", server.address},
                {"roles", role_words(server)},
                {"joined", servers_.contains(server.name)},
                {"answers", false}};
    const auto reply = std::ranges::find(replies, server.name, &ServerReply::server);
    if (server.name == identity_->server) {
      one["answers"] = true;
      one["status"] = Json::parse(own, nullptr, false);
    } else if (reply != replies.end() && reply->reply && is_good(reply->reply->message)) {
      one["answers"] = true;
      one["status"] = Json::parse(reply->reply->message, nullptr, false);
    } else if (reply != replies.end()) {
      one["error"] = reply->reply ? error_in(reply->reply->message) : describe(reply->reply.error());
    }
    if (const auto met = met_.find(server.name); met != met_.end() && server.name != identity_->server) {
      one["clock_ahead_seconds"] = static_cast<double>(met->second.clock_difference.count()) / 1000;
      one["heard_seconds"] = std::chrono::duration<double>(reactor_.now() - met->second.when).count();
    }
    servers.push_back(std::move(one));
  }
  co_return text_of({{"ok", true}, {"server", identity_->server}, {"servers", servers}});
}

// ---- logs

Task<std::string> Member::answer_peer_logs(PeerTalk& talk) {
  std::string lines = co_await log_lines(reactor_, folders_.log, talk.message, kLogsLimits.data_bytes_max);
  const Result<void> sent = co_await talk.channel.send_data(std::move(lines));
  if (!sent) co_return failure_line(describe(sent.error()));
  co_return R"({"ok":true})";
}

// {"server": "web2", "lines": "app\tTEXT\n…"} before the answer, as often as needed; the
// order of times is the asker's matter.
Task<std::string> Member::answer_logs(std::string line, Conversation& conversation) {
  if (!identity_) co_return failure_line(why_not_);
  Json request = Json::parse(line, nullptr, false);
  const auto only = value_of<std::string>(request, "server");
  request["request"] = "logs";
  std::vector<std::string> others = other_servers();
  if (!only.empty()) std::erase_if(others, [&](const std::string& name) { return name != only; });
  if (others.empty() && !only.empty() && only != identity_->server)
    co_return failure_line(fmt::format("the site file names no server `{}`", only));
  std::vector<ServerReply> replies = co_await ask_all(others, text_of(request), kLogsLimits);
  if (only.empty() || only == identity_->server) {
    std::string own =
        co_await log_lines(reactor_, folders_.log, text_of(request), kLogsLimits.data_bytes_max);
    replies.push_back(
        {.server = identity_->server, .reply = Reply{.message = R"({"ok":true})", .data = std::move(own)}});
  }
  Json unanswered = Json::array();
  for (const ServerReply& each : replies) {
    const bool good = each.reply && is_good(each.reply->message);
    if (!good) unanswered.push_back(each.server);
    if (!good) continue;
    for (size_t at = 0; at < each.reply->data.size();) {
      const std::string_view some = whole_lines(std::string_view(each.reply->data).substr(at));
      at += some.size();
      std::string said = text_of({{"server", each.server}, {"lines", some}});
      const Result<void> written = co_await conversation.send(std::move(said));
      if (!written) co_return failure_line(describe(written.error()));
    }
  }
  co_return text_of({{"ok", true}, {"unanswered", unanswered}});
}

// ---- one of the servers

Task<std::string> Member::answer_peer_control(PeerTalk& talk) {
  const Json json = Json::parse(talk.message, nullptr, false);
  const auto question = value_of<Json>(json, "question");
  const std::string command = question.is_object() ? value_of<std::string>(question, "command") : "";
  if (std::ranges::find(kForwarded, command) == std::end(kForwarded))
    co_return failure_line("this is not for other servers to ask");
  log_.info("another server asks", {{"who", talk.asker.name()}, {"command", command}});
  ControlCall call(reactor_);
  const Time deadline = reactor_.now() + kControlAnswerTimeout;
  const Result<void> asked = co_await call.ask(control_socket(folders_), text_of(question), deadline);
  if (!asked) co_return failure_line(describe(asked.error()));
  for (;;) {
    Result<std::string> said = co_await call.line(deadline);
    if (!said) co_return failure_line(describe(said.error()));
    const Json answer = Json::parse(*said, nullptr, false);
    if (!answer.is_object() || !answer.contains("progress")) co_return *said;
    co_await talk.progress(value_of<std::string>(answer, "progress"), value_of<std::string>(answer, "line"));
  }
}

// {"command": "on-server", "server": "web2", "question": {"command": "drain", …}}
Task<std::string> Member::answer_on_server(std::string line, Conversation& conversation) {
  if (!identity_) co_return failure_line(why_not_);
  const Json json = Json::parse(line, nullptr, false);
  const auto server = value_of<std::string>(json, "server");
  const auto question = value_of<Json>(json, "question");
  if (find_server(*site_, server) == nullptr)
    co_return failure_line(fmt::format("the site file names no server `{}`", server));
  const Time deadline = reactor_.now() + kControlAnswerTimeout;
  const auto command = question.is_object() ? value_of<std::string>(question, "command") : "";
  if (command == "drain" || command == "undrain") {
    // It stays so, whatever becomes of that server.
    const std::string unnoted = co_await note_drain(server, command == "drain");
    if (!unnoted.empty()) co_return failure_line(unnoted);
  }
  if (server == identity_->server) {
    const std::string own = co_await ask_own_controller(text_of(question), conversation, deadline);
    co_return own;
  }
  Asking asking{.server = server,
                .message = text_of({{"request", "control"}, {"question", question}}),
                .conversation = &conversation,
                .deadline = deadline};
  const Result<Reply> reply = co_await ask_server(std::move(asking));
  if (!reply) co_return failure_line(fmt::format("{} does not answer: {}", server, describe(reply.error())));
  co_return reply->message;
}

Task<std::string> Member::ask_own_controller(std::string question, Conversation& conversation,
                                             Time deadline) {
  const Result<std::string> answer = co_await ask_controller(reactor_, control_socket(folders_),
                                                             std::move(question), &conversation, deadline);
  if (!answer) co_return failure_line("the controller does not answer: " + describe(answer.error()));
  co_return *answer;
}

// One server after the other, so that the others carry the load; the first that fails
// ends it.
Task<std::string> Member::answer_restart(std::string line, Conversation& conversation) {
  if (!identity_) co_return failure_line(why_not_);
  const Json json = Json::parse(line, nullptr, false);
  int64_t instances = 0;
  const std::shared_ptr<const topology::Site> site = site_;
  for (const topology::Server& server : site->servers) {
    if (std::ranges::find(server.roles, topology::Role::kApp) == server.roles.end()) continue;
    conversation.progress(server.name, "restarts");
    const Json question = {{"command", "restart"}, {"what", value_of<std::string>(json, "what")}};
    const std::string asked = text_of({{"server", server.name}, {"question", question}});
    const std::string answered = co_await answer_on_server(asked, conversation);
    if (!is_good(answered)) co_return failure_line(fmt::format("{}: {}", server.name, error_in(answered)));
    instances += value_of<int64_t>(Json::parse(answered, nullptr, false), "instances");
  }
  co_return text_of({{"ok", true}, {"instances", instances}});
}

}  // namespace terrace::program
