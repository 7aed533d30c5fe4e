#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <string>
#include <vector>

#include "bench/histogram.h"
#include "bench/poller.h"
#include "bench/response_reader.h"
#include "bench/socket.h"

namespace terrace::bench {

// What to ask, of whom, and how often. A run always ends: at the latest
// `drain_max` after the time that was asked for.
struct LoadOptions {
  Endpoint to;
  int sources = 0;      // addresses 127.0.0.1 and up to connect from; 0: the kernel's choice
  std::string request;  // the whole head
  Expected expected;
  int connections = 64;
  uint64_t requests_max = 0;  // 0: until `time` is over
  Duration time{};
  // Requests a second at fixed intervals, whatever the answers do (open loop); 0:
  // each connection asks again when it was answered (closed loop).
  double rate = 0;
  Duration drain_max = std::chrono::seconds(5);
};

// How requests fail. The order is that of kFailureNames.
enum class Failure : uint8_t {
  kConnect,
  kSend,
  kClosed,
  kMalformed,
  kStatus,
  kLength,
  kBody,
  kUnexpected,
  kTimeout
};
constexpr std::array kFailureNames = {"connect", "send", "closed",     "malformed", "status",
                                      "length",  "body", "unexpected", "timeout"};

struct LoadReport {
  uint64_t answered = 0;  // as expected
  std::array<uint64_t, kFailureNames.size()> failures{};
  uint64_t reconnects = 0;  // the server closed a connection between two requests
  uint64_t open_at_end = 0;
  Duration elapsed{};  // from the first request to the last answer
  Histogram latency;   // of the answers as expected

  uint64_t failed() const;
};

// Sends requests over keep-alive connections, one at a time on each, and checks
// every answer. With a rate the latency counts from the moment when a request
// was due, not from when a connection was free to send it: a server that stalls
// is charged for all who would have come meanwhile (coordinated omission).
// One thread; ends early after kFailuresMax failures.
class Generator {
 public:
  static constexpr uint64_t kFailuresMax = 1000;

  explicit Generator(LoadOptions options);
  // Opens the connections; false when one could not be opened.
  bool connect_all();
  LoadReport run();
  // Opens the connections and makes one request on each, at most `window` at a
  // time; they stay open.
  LoadReport run_once_each(int window);
  // How many connections the server has not closed.
  uint64_t count_open();

 private:
  struct Connection {
    Descriptor fd;
    int index = 0;
    ResponseReader reader;
    bool is_busy = false;
    Time due;
  };

  bool connect(Connection& connection);
  void start(Time now);
  void finish(Time started);
  // Waits for events once, at most until `limit`, and handles them.
  void poll(Time limit);
  void receive(Connection& connection, bool is_ending);
  void take(Connection& connection, std::string_view bytes);
  void lose(Connection& connection);
  // Uses a connection that is free: at once when a request is due, else later.
  void use(Connection& connection);
  void send_request(Connection& connection, Time due);
  void send_due();
  bool may_send(Time now) const;
  bool is_over(Time now) const;
  void fail(Connection& connection, Failure failure);
  uint64_t failures() const { return report_.failed(); }

  LoadOptions options_;
  Poller poller_;
  std::vector<Connection> connections_;
  std::deque<Connection*> idle_;  // oldest first, so that all of them are used
  std::vector<char> scratch_;
  LoadReport report_;
  Time stop_;      // a closed loop sends no request from here on
  Time give_up_;   // nothing is waited for from here on
  Time next_due_;  // of the open loop
  Duration interval_{};
  uint64_t sent_ = 0;
  uint64_t requests_max_ = 0;  // 0: only the time limits them
  uint64_t busy_ = 0;          // connections with a request that is not answered
  bool once_ = false;          // a connection that was answered is left alone
};

}  // namespace terrace::bench
