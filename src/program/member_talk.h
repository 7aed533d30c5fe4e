#pragma once

// What passes between members while one asks another (cluster/channel.h).

#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cluster/channel.h"
#include "program/conversation.h"

namespace terrace::program {

// One request of another server while it is answered.
struct PeerTalk {
  cluster::Channel& channel;
  const cluster::Asker& asker;
  const std::string& message;  // the whole request, a JSON object

  Task<void> progress(std::string step, std::string line);
};

// What to ask another server.
struct Asking {
  std::string server;
  std::string message;  // {"request": …}
  // Sent as data behind it; `sends_data` also when it is empty.
  std::string data;
  bool sends_data = false;
  // Of the answer; data beyond that is refused.
  size_t data_bytes_max = 0;
  bool as_stranger = false;              // our certificate does not hold
  Conversation* conversation = nullptr;  // to whom progress is handed on
  Time deadline;
  // By when the other server must have shown that it lives; no later than `deadline`.
  std::optional<Time> greeting_deadline = {};
};

// How long several servers that are asked side by side may take.
struct AskLimits {
  Duration greeting;  // until a server has shown that it lives
  Duration answer;    // from the start, too
  size_t data_bytes_max = 0;
};

struct Reply {
  std::string message;  // the answer, a JSON object
  std::string data;     // that came before it
};

// What one of several servers has answered.
struct ServerReply {
  std::string server;
  Result<Reply> reply;
};

// The answer of another server, with its progress and data. kClosed when it left before.
Task<Result<Reply>> receive_reply(cluster::Channel& channel, size_t data_bytes_max,
                                  Conversation* conversation, Time deadline);

// "ok" of an answer; and its "error", for people.
bool is_good(std::string_view answer);
std::string error_in(std::string_view answer);
// A line of the form of the control socket.
std::string failure_line(std::string_view error);

}  // namespace terrace::program
