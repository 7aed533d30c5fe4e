#include "cluster/channel.h"

#include <sys/socket.h>

#include <algorithm>
#include <utility>

namespace terrace::cluster {
namespace {

using std::chrono::milliseconds;

// How long the peer may take to close, and what it may still send.
constexpr std::chrono::seconds kPartingTimeout{2};
constexpr size_t kPartingFramesMax = 1024;
// Frames that are there already, between two turns of the others.
constexpr int kFramesPerTurn = 64;

milliseconds since_epoch(WallTime time) {
  return std::chrono::duration_cast<milliseconds>(time.time_since_epoch());
}

std::string claimed_name(std::string_view der) {
  if (der.empty()) return {};
  const Result<certificates::Identity> identity = certificates::read_identity(der);
  return identity ? identity->server : "a certificate of another form";
}

}  // namespace

// ---- frames on a stream

Task<Result<void>> Channel::send(FrameKind kind, std::string body) {
  const std::string bytes = frame_bytes(kind, body);
  const Result<void> sent = co_await stream_.write_all(bytes, kProgressTimeout);
  co_return sent;
}

Task<Result<void>> Channel::send_message(std::string json) {
  if (json.size() > kMessageBytesMax) co_return fail(Code::kLimit, "message", "it is too long to be sent");
  const Result<void> sent = co_await send(FrameKind::kMessage, std::move(json));
  co_return sent;
}

Task<Result<void>> Channel::send_data(std::string bytes) {
  for (size_t at = 0; at < bytes.size(); at += kDataBytesMax) {
    const Result<void> sent = co_await send(FrameKind::kData, bytes.substr(at, kDataBytesMax));
    if (!sent) co_return sent;
  }
  co_return Result<void>();
}

Task<Result<void>> Channel::send_end() {
  const Result<void> sent = co_await send(FrameKind::kEnd, "");
  co_return sent;
}

Task<Result<Frame>> Channel::receive(Time deadline) {
  // A peer that never lets us wait must not keep the others waiting, nor outlive its deadline.
  if (++ready_ >= kFramesPerTurn) {
    ready_ = 0;
    co_await yield(reactor());
    if (reactor().now() >= deadline) co_return fail(Code::kTimeout, "channel");
  }
  for (;;) {
    Result<std::optional<Frame>> frame = frames_.next();
    if (!frame) co_return std::unexpected(frame.error());
    if (*frame) co_return std::move(**frame);
    const std::span<char> scratch = reactor().scratch();
    const Result<size_t> read = stream_.read_now(scratch);
    if (read && *read == 0) co_return fail(Code::kClosed, "channel", "the other server has left");
    if (read) {
      frames_.add({scratch.data(), *read});
      continue;
    }
    if (read.error().code != Code::kWouldBlock) co_return std::unexpected(read.error());
    const Result<void> waited = co_await stream_.readable(deadline);
    if (!waited) co_return std::unexpected(waited.error());
    ready_ = 0;
  }
}

Task<Result<std::string>> Channel::receive_message(Time deadline) {
  Result<Frame> frame = co_await receive(deadline);
  if (!frame) co_return std::unexpected(frame.error());
  if (frame->kind != FrameKind::kMessage) co_return fail(Code::kInvalid, "channel", "data out of place");
  co_return std::move(frame->body);
}

Task<Result<std::string>> Channel::receive_data(size_t bytes_max, Time deadline) {
  std::string all;
  for (;;) {
    Result<Frame> frame = co_await receive(deadline);
    if (!frame) co_return std::unexpected(frame.error());
    if (frame->kind == FrameKind::kEnd) co_return all;
    if (frame->kind != FrameKind::kData) co_return fail(Code::kInvalid, "channel", "a message among data");
    if (all.size() + frame->body.size() > bytes_max) co_return fail(Code::kLimit, "channel", "too much data");
    all += frame->body;
  }
}

Hello hello_of(const Credentials& credentials, const Clock& clock) {
  return {.server = credentials.server, .program = credentials.program, .time = since_epoch(clock.wall())};
}

// ---- asking

Task<Result<void>> Call::open(Credentials credentials, std::string server, net::Address address,
                              Time deadline) {
  const Result<void> connected = co_await stream_.connect(reactor_, address, deadline);
  if (!connected) co_return connected;
  const Result<void> shaken = co_await stream_.start_tls(credentials.asking, server, deadline);
  if (!shaken) co_return shaken;
  channel_.frames().allow_messages(kHelloBytesMax);
  const Hello ours = hello_of(credentials, reactor_.clock());
  const Result<void> sent = co_await channel_.send_message(to_json(ours));
  if (!sent) co_return sent;
  const Result<std::string> answer = co_await channel_.receive_message(deadline);
  if (!answer) co_return std::unexpected(answer.error());
  Result<Hello> theirs = parse_hello(*answer);
  if (!theirs) co_return std::unexpected(theirs.error());
  if (common_version(ours, *theirs) == 0)
    co_return fail(Code::kInvalid, "hello", "the other server's version of Terrace speaks another channel");
  theirs_ = *std::move(theirs);
  clock_difference_ = theirs_.time - since_epoch(reactor_.clock().wall());
  channel_.frames().allow_messages(kMessageBytesMax);
  co_return Result<void>();
}

// ---- answering

ChannelServer::ChannelServer(Reactor& reactor, const Log& log, Answerer& answerer)
    : reactor_(reactor), log_(log), answerer_(answerer) {}

Task<Result<void>> ChannelServer::listen(net::Address address) {
  Result<Descriptor> socket = net::listen_on(address);
  if (!socket) co_return std::unexpected(socket.error());
  if (listener_) co_await listener_->close();
  listener_ =
      std::make_unique<net::Listener>(reactor_, std::move(*socket), static_cast<net::Acceptor&>(*this), log_);
  co_return listener_->start();
}

void ChannelServer::accepted(Descriptor socket, const net::Peer& peer) {
  const Asker asker{.identity = {}, .from = peer};
  if (!make_room(peer.ip)) return say_refused(asker, "too many connections");
  connections_.emplace_back();
  const auto connection = std::prev(connections_.end());
  connection->asker = asker;
  if (const Result<void> opened = connection->stream.open(reactor_, std::move(socket)); !opened) {
    connections_.erase(connection);
    return;
  }
  scope_.spawn(serve(connection));
}

bool ChannelServer::make_room(const net::Ip& from) {
  const auto same =
      std::ranges::count_if(connections_, [&](const Connection& each) { return each.asker.from.ip == from; });
  if (static_cast<size_t>(same) >= kConnectionsOfOneMax) return false;
  if (connections_.size() < kConnectionsMax) return true;
  if (connections_.size() >= 2 * kConnectionsMax) return false;  // those that gave way have not left yet
  const auto oldest = std::ranges::find_if(
      connections_, [](const Connection& each) { return !each.asker.identity && !each.gave_way; });
  if (oldest == connections_.end()) return false;
  oldest->gave_way = true;
  end(oldest->stream);
  return true;
}

Task<void> ChannelServer::serve(std::list<Connection>::iterator connection) {
  Channel channel(connection->stream);
  const Result<void> greeted = co_await greet(*connection, channel);
  if (greeted) {
    co_await answer(*connection, channel);
  } else {
    say_refused(connection->asker, connection->gave_way ? "it did not say who it is before others came"
                                                        : describe(greeted.error()));
  }
  connections_.erase(connection);
}

Task<void> ChannelServer::answer(Connection& connection, Channel& channel) {
  const Result<std::string> message = co_await channel.receive_message(reactor_.now() + kGreetingTimeout);
  const Result<std::string> name = message ? request_name(*message) : std::unexpected(message.error());
  if (!name && name.error().code == Code::kClosed) co_return;
  if (!name) co_return say_refused(connection.asker, describe(name.error()));
  Asker asker = connection.asker;
  std::string body = *message;
  co_await answerer_.answer(channel, std::move(asker), *name, std::move(body));
  // A socket that is closed with bytes unread takes back what it has sent: the peer closes first.
  (void)connection.stream.shutdown_write();
  const Time deadline = reactor_.now() + kPartingTimeout;
  for (size_t frames = 0; frames < kPartingFramesMax; ++frames) {
    const Result<Frame> unwanted = co_await channel.receive(deadline);
    if (!unwanted) co_return;
  }
}

void ChannelServer::end(net::Stream& stream) {
  stream.cancel();
  ::shutdown(stream.descriptor(), SHUT_RDWR);
}

// The handshake, and a hello of each side.
Task<Result<void>> ChannelServer::greet(Connection& connection, Channel& channel) {
  const Time deadline = reactor_.now() + kGreetingTimeout;
  const Credentials credentials = credentials_;
  if (!credentials.listening)
    co_return fail(Code::kUnavailable, "channel", "this server has no certificate yet");
  const Result<void> shaken = co_await connection.stream.start_tls(credentials.listening, "", deadline);
  if (!shaken) {
    connection.asker.claimed = claimed_name(connection.stream.refused_certificate());
    co_return shaken;
  }
  if (const std::string_view der = connection.stream.peer_certificate(); !der.empty()) {
    // It may have been revoked since the handshake looked at its certificate.
    if (credentials_.listening != credentials.listening) {
      if (const auto refused = credentials_.listening->refusal_of(der)) {
        connection.asker.claimed = claimed_name(der);
        co_return fail(Code::kInvalid, "peer certificate", refused->text);
      }
    }
    Result<certificates::Identity> identity = certificates::read_identity(der);
    if (!identity) co_return std::unexpected(identity.error());
    connection.asker.identity = *std::move(identity);
  }
  channel.frames().allow_messages(kHelloBytesMax);
  const Result<std::string> said = co_await channel.receive_message(deadline);
  if (!said) co_return std::unexpected(said.error());
  const Result<Hello> theirs = parse_hello(*said);
  if (!theirs) co_return std::unexpected(theirs.error());
  const std::string named = connection.asker.identity ? connection.asker.identity->server : "";
  if (theirs->server != named) co_return fail(Code::kInvalid, "hello", "it is not who its certificate names");
  const Hello ours = hello_of(credentials, reactor_.clock());
  const Result<void> sent = co_await channel.send_message(to_json(ours));
  if (!sent) co_return sent;
  if (common_version(ours, *theirs) == 0)
    co_return fail(Code::kInvalid, "hello", "its version of Terrace speaks another channel");
  if (connection.asker.identity) {
    answerer_.met(*theirs, theirs->time - ours.time);
    channel.frames().allow_messages(kMessageBytesMax);
  }
  co_return Result<void>();
}

// A flood of strangers must not fill the disk.
void ChannelServer::say_refused(const Asker& asker, std::string_view why, std::string_view what) {
  const Time now = reactor_.now();
  if (now - refusals_since_ >= std::chrono::seconds(1)) {
    if (refusals_ > kRefusalLinesMax)
      log_.warning("more were refused at the control port", {{"count", refusals_ - kRefusalLinesMax}});
    refusals_since_ = now;
    refusals_ = 0;
  }
  if (++refusals_ > kRefusalLinesMax) return;
  log_.warning(what, {{"who", asker.name()}, {"from", asker.address()}, {"why", why}});
}

}  // namespace terrace::cluster
