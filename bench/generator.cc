#include "bench/generator.h"

#include <algorithm>
#include <cerrno>
#include <numeric>

namespace terrace::bench {
namespace {

constexpr size_t kScratchBytes = 256 << 10;

Time now() { return std::chrono::steady_clock::now(); }

Failure failure_of(ResponseReader::Outcome outcome) {
  switch (outcome) {
    case ResponseReader::Outcome::kStatus:
      return Failure::kStatus;
    case ResponseReader::Outcome::kLength:
      return Failure::kLength;
    case ResponseReader::Outcome::kBody:
      return Failure::kBody;
    case ResponseReader::Outcome::kUnexpected:
      return Failure::kUnexpected;
    default:
      return Failure::kMalformed;
  }
}

}  // namespace

uint64_t LoadReport::failed() const { return std::accumulate(failures.begin(), failures.end(), uint64_t{0}); }

Generator::Generator(LoadOptions options)
    : options_(std::move(options)),
      connections_(static_cast<size_t>(options_.connections)),
      scratch_(kScratchBytes) {
  for (size_t i = 0; i < connections_.size(); ++i) connections_[i].index = static_cast<int>(i);
}

bool Generator::connect_all() {
  return std::ranges::all_of(connections_, [this](Connection& connection) { return connect(connection); });
}

bool Generator::connect(Connection& connection) {
  const int source = options_.sources > 0 ? 1 + connection.index % options_.sources : 0;
  Result<Descriptor> fd = connect_to(options_.to, source);
  if (!fd) return false;
  connection.fd = std::move(*fd);
  connection.reader = ResponseReader();
  poller_.add(connection.fd.get(), &connection);
  return true;
}

LoadReport Generator::run() {
  const Time started = now();
  start(started);
  for (Connection& connection : connections_) use(connection);
  for (Time time = started; !is_over(time); time = now()) {
    poll(options_.rate > 0 && may_send(time) && !idle_.empty() ? next_due_ : give_up_);
    send_due();
  }
  finish(started);
  return report_;
}

void Generator::start(Time now) {
  stop_ = options_.time > Duration(0) ? now + options_.time : Time::max();
  give_up_ = now + options_.time + options_.drain_max;
  requests_max_ = options_.requests_max;
  next_due_ = now;
  if (options_.rate <= 0) return;
  interval_ = Duration(static_cast<int64_t>(1e9 / options_.rate));
  if (requests_max_ == 0) requests_max_ = static_cast<uint64_t>(options_.time / interval_);
  // An open loop owes a number of requests, and sends them all, however late.
  stop_ = Time::max();
}

void Generator::finish(Time started) {
  report_.elapsed = now() - started;
  report_.failures[static_cast<size_t>(Failure::kTimeout)] += busy_;
  if (options_.rate > 0 && failures() < kFailuresMax) {
    report_.failures[static_cast<size_t>(Failure::kTimeout)] += requests_max_ - sent_;
  }
  report_.open_at_end = count_open();
}

LoadReport Generator::run_once_each(int window) {
  const Time started = now();
  once_ = true;
  give_up_ = started + options_.time + options_.drain_max;
  for (Connection& connection : connections_) {
    if (!connect(connection)) {
      fail(connection, Failure::kConnect);
      break;
    }
    send_request(connection, now());
    while (busy_ >= static_cast<uint64_t>(window) && now() < give_up_) poll(give_up_);
  }
  while (busy_ > 0 && now() < give_up_) poll(give_up_);
  finish(started);
  return report_;
}

uint64_t Generator::count_open() {
  return static_cast<uint64_t>(std::ranges::count_if(connections_, [](const Connection& connection) {
    char byte = 0;
    return connection.fd && recv(connection.fd.get(), &byte, 1, MSG_PEEK) < 0 && errno == EAGAIN;
  }));
}

void Generator::poll(Time limit) {
  const Duration timeout = std::max(Duration(0), Duration(limit - now()));
  for (const epoll_event& event : poller_.wait(timeout)) {
    if ((event.events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) == 0) continue;
    receive(*static_cast<Connection*>(event.data.ptr), is_ending(event));
  }
}

void Generator::receive(Connection& connection, bool is_ending) {
  while (connection.fd) {
    const ssize_t size = recv(connection.fd.get(), scratch_.data(), scratch_.size(), 0);
    if (size < 0 && errno == EAGAIN) return;
    if (size <= 0) return lose(connection);
    take(connection, std::string_view(scratch_.data(), static_cast<size_t>(size)));
    if (static_cast<size_t>(size) < scratch_.size() && !is_ending) return;
  }
}

void Generator::take(Connection& connection, std::string_view bytes) {
  if (!connection.is_busy) return fail(connection, Failure::kUnexpected);
  const ResponseReader::Outcome outcome = connection.reader.read(bytes, options_.expected);
  if (outcome == ResponseReader::Outcome::kMore) return;
  connection.is_busy = false;
  --busy_;
  if (outcome != ResponseReader::Outcome::kDone) return fail(connection, failure_of(outcome));
  ++report_.answered;
  report_.latency.record(now() - connection.due);
  use(connection);
}

void Generator::lose(Connection& connection) {
  connection.fd.reset();
  if (connection.is_busy) {
    connection.is_busy = false;
    --busy_;
    return fail(connection, Failure::kClosed);
  }
  if (once_) return;
  ++report_.reconnects;
  // It stays among the idle ones, where it was.
  if (!connect(connection)) fail(connection, Failure::kConnect);
}

void Generator::fail(Connection& connection, Failure failure) {
  ++report_.failures[static_cast<size_t>(failure)];
  connection.fd.reset();
  if (once_ || failures() >= kFailuresMax) return;
  if (connect(connection)) return use(connection);
  ++report_.failures[static_cast<size_t>(Failure::kConnect)];
}

void Generator::use(Connection& connection) {
  if (once_) return;
  const Time time = now();
  if (options_.rate > 0) {
    idle_.push_back(&connection);
  } else if (may_send(time)) {
    send_request(connection, time);
  }
}

void Generator::send_due() {
  if (options_.rate <= 0) return;
  const Time time = now();
  while (!idle_.empty() && may_send(time) && next_due_ <= time) {
    Connection* connection = idle_.front();
    idle_.pop_front();
    send_request(*connection, next_due_);
    next_due_ += interval_;
  }
}

void Generator::send_request(Connection& connection, Time due) {
  ++sent_;
  const std::string& request = options_.request;
  const ssize_t size = send(connection.fd.get(), request.data(), request.size(), MSG_NOSIGNAL);
  // A request is far smaller than the socket's empty buffer: it goes whole.
  if (size != static_cast<ssize_t>(request.size())) return fail(connection, Failure::kSend);
  connection.due = due;
  connection.is_busy = true;
  ++busy_;
}

bool Generator::may_send(Time time) const {
  return time < stop_ && (requests_max_ == 0 || sent_ < requests_max_) && failures() < kFailuresMax;
}

bool Generator::is_over(Time time) const { return time >= give_up_ || (busy_ == 0 && !may_send(time)); }

}  // namespace terrace::bench
