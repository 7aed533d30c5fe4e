// One connection of HTTP/2: reading, writing, and what ends it.

#include "http/http2_session.h"

#include <nghttp2/nghttp2.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/assert.h"

namespace terrace::http {
namespace {

// Less room than this is not worth a frame: what is there is written first.
constexpr size_t kRoomMin = 512;
// Reads and writes in a row before others get their turn.
constexpr int kQuota = 8;
// After GOAWAY: how much is read and thrown away, so that it is not destroyed by a reset.
constexpr size_t kLingerBytesMax = 1 << 20;

// What the peer is told after an error that nghttp2 cannot go on from.
uint32_t goaway_code(int error) {
  switch (error) {
    case NGHTTP2_ERR_FLOODED:
    case NGHTTP2_ERR_TOO_MANY_CONTINUATIONS:
    case NGHTTP2_ERR_CALLBACK_FAILURE:
      return NGHTTP2_ENHANCE_YOUR_CALM;
    case NGHTTP2_ERR_NOMEM:
      return NGHTTP2_INTERNAL_ERROR;
    default:
      return NGHTTP2_PROTOCOL_ERROR;
  }
}

const Error kBroken{.code = Code::kInvalid, .place = "http2", .text = "the protocol was broken"};
const Error kSlowHead{.code = Code::kTimeout, .place = "http2", .text = "a head took too long"};
const Error kNoPreface{.code = Code::kTimeout, .place = "http2", .text = "no preface in time"};
const Error kIdle{.code = Code::kTimeout, .place = "http2", .text = "idle"};
const Error kNoSign{.code = Code::kTimeout, .place = "http2", .text = "no sign of life"};
const Error kEnded{.code = Code::kClosed, .place = "http2", .text = "the peer closed"};

}  // namespace

Http2Session::Http2Session(Reactor& reactor, Side side, const Http2Limits& limits)
    : reactor_(reactor), side_(side), limits_(limits) {
  ASSERT(limits_.stream_window <= Http2Limits::kStreamWindowMax);
}

Http2Session::~Http2Session() {
  ASSERT(first_ == nullptr);
  nghttp2_session_del(session_);
}

void Http2Session::attach(Http2Stream& stream, int32_t id) {
  stream.session_ = this;
  stream.id_ = id;
  stream.next_ = first_;
  if (first_ != nullptr) first_->previous_ = &stream;
  first_ = &stream;
  ++streams_;
}

Result<void> Http2Session::begin() {
  const Result<void> made = make_session();
  if (!made) return made;
  begun_ = read_last_ = idle_since_ = reactor_.now();
  nghttp2_settings_entry settings[] = {
      {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, static_cast<uint32_t>(limits_.streams_max)},
      {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, limits_.stream_window},
      {NGHTTP2_SETTINGS_HEADER_TABLE_SIZE, limits_.header_table_bytes},
      {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, static_cast<uint32_t>(limits_.head.head_max)},
      // No tree of priorities is kept: streams take turns (RFC 9113 section 5.3.2).
      {NGHTTP2_SETTINGS_NO_RFC7540_PRIORITIES, 1},
      // The last one depends on the side.
      {NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL, 1}};
  if (side_ == Side::kClient) settings[5] = {NGHTTP2_SETTINGS_ENABLE_PUSH, 0};
  const auto window = static_cast<int32_t>(limits_.connection_window);
  if (nghttp2_submit_settings(session_, NGHTTP2_FLAG_NONE, settings, std::size(settings)) != 0 ||
      nghttp2_session_set_local_window_size(session_, NGHTTP2_FLAG_NONE, 0, window) != 0) {
    return fail(Code::kLimit, "http2", "no memory");
  }
  // Asked for while the handshake was under way.
  if (std::exchange(draining_, false)) drain();
  return {};
}

Task<Result<void>> Http2Session::converse() {
  Result<void> result = begin();
  if (result) {
    Scope scope;
    scope.spawn(write_all());
    result = co_await read_all();
    end_streams(result ? kEnded : result.error());
    if (goodbye_until_) co_await linger();
    stopped_ = true;
    stream_.cancel();
    wake_writer();
    co_await scope.join();
  }
  out_.release();
  stream_.close();
  co_return result;
}

void Http2Session::end_streams(const Error& reason) {
  while (first_ != nullptr) {
    Http2Stream& stream = *first_;
    nghttp2_session_set_stream_user_data(session_, stream.id_, nullptr);
    stream.close(NGHTTP2_CANCEL);
    if (!stream.remote_ended_) stream.failure_ = reason;
  }
}

// Numbers of streams are not used twice: a connection of that age is replaced by another.
void Http2Session::leave_when_old() {
  constexpr uint32_t kStreamIdMax = 1u << 30;
  if (nghttp2_session_get_next_stream_id(session_) >= kStreamIdMax) drain();
}

bool Http2Session::may_open() const {
  if (session_ == nullptr || draining_ || reason_ || stream_.cancelled()) return false;
  const uint32_t peers =
      nghttp2_session_get_remote_settings(session_, NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS);
  const uint32_t most = std::min(peers, static_cast<uint32_t>(limits_.streams_max));
  return static_cast<uint32_t>(streams_) < most && nghttp2_session_check_request_allowed(session_) != 0;
}

bool Http2Session::peer_takes_tunnels() const {
  return session_ != nullptr &&
         nghttp2_session_get_remote_settings(session_, NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL) == 1;
}

// ---- reading ----------------------------------------------------------------

bool Http2Session::over() const { return nghttp2_session_want_read(session_) == 0 && silent(); }

bool Http2Session::silent() const {
  return nghttp2_session_want_write(session_) == 0 && pending_.empty() && out_begin_ == out_end_;
}

// Nothing when it ended as it should: after a GOAWAY of either side and the last stream.
Task<Result<void>> Http2Session::read_all() {
  for (int reads = 1;; ++reads) {
    if (reason_ && !goodbye_until_) co_return std::unexpected(*reason_);
    if (over()) break;
    if (reads % kQuota == 0) co_await yield(reactor_);
    const Result<void> checked = check_deadlines();
    if (!checked) co_return checked;
    const Result<void> ready = co_await stream_.readable(next_deadline());
    if (!ready && stream_.cancelled()) co_return std::unexpected(reason_.value_or(ready.error()));
    if (!ready) continue;
    const Result<size_t> n = stream_.read_now(reactor_.scratch());
    if (!n && n.error().code == Code::kWouldBlock) continue;
    if (!n) co_return std::unexpected(n.error());
    if (*n == 0) {
      if (streams_ == 0 && draining_) break;
      co_return std::unexpected(reason_.value_or(kEnded));
    }
    feed(reactor_.scratch().first(*n));
  }
  if (reason_) co_return std::unexpected(*reason_);
  co_return Result<void>();
}

void Http2Session::feed(std::span<const char> bytes) {
  read_last_ = reactor_.now();
  ping_sent_.reset();
  within_ = true;
  const ssize_t n =
      nghttp2_session_mem_recv(session_, reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size());
  within_ = false;
  if (n < 0) {
    const uint32_t code = goaway_code(static_cast<int>(n));
    terminate(code, code == NGHTTP2_ENHANCE_YOUR_CALM ? kTooOdd : kBroken);
  }
  wake_writer();
  input_read();
}

// Tells the peer and ends with what is being said; streams are not waited for.
void Http2Session::terminate(uint32_t code, const Error& reason) {
  if (goodbye_until_) return;
  reason_ = reason;
  goodbye_until_ = reactor_.now() + kGoodbyeMax;
  nghttp2_session_terminate_session(session_, code);
  wake_writer();
}

// nghttp2 has found for itself that the peer broke the protocol.
void Http2Session::said_goodbye() {
  if (goodbye_until_) return;
  reason_ = kBroken;
  goodbye_until_ = reactor_.now() + kGoodbyeMax;
}

bool Http2Session::odd(int oddities) { return oddities_.spend(oddities, reactor_.now(), limits_); }

void Http2Session::drain() {
  if (std::exchange(draining_, true) || session_ == nullptr) return;
  if (side_ == Side::kServer) {
    nghttp2_submit_shutdown_notice(session_);
    notice_until_ = reactor_.now() + kNoticeTime;
  } else {
    nghttp2_submit_goaway(session_, NGHTTP2_FLAG_NONE, 0, NGHTTP2_NO_ERROR, nullptr, 0);
  }
  wake_writer();
  // The reader shall learn of the new deadline.
  stream_.interrupt_read();
}

Time Http2Session::next_deadline() const {
  Time next = Time::max();
  const auto not_after = [&next](Time time) { next = std::min(next, time); };
  if (goodbye_until_) return *goodbye_until_;
  if (!greeted_) not_after(begun_ + limits_.head_timeout);
  if (head_since_) not_after(*head_since_ + limits_.head_timeout);
  if (notice_until_) not_after(*notice_until_);
  if (streams_ == 0 && limits_.idle_timeout > Duration::zero()) not_after(idle_since_ + limits_.idle_timeout);
  if (limits_.ping_interval > Duration::zero()) {
    not_after(ping_sent_ ? *ping_sent_ + limits_.ping_timeout : read_last_ + limits_.ping_interval);
  }
  return std::min(next, reactor_.now() + std::chrono::hours(1));
}

// An error: nobody is there to be told anything.
Result<void> Http2Session::check_deadlines() {
  const Time now = reactor_.now();
  if (goodbye_until_) {
    if (now >= *goodbye_until_) return std::unexpected(*reason_);
    return {};
  }
  if (notice_until_ && now >= *notice_until_) {
    notice_until_.reset();
    const int32_t last = nghttp2_session_get_last_proc_stream_id(session_);
    nghttp2_submit_goaway(session_, NGHTTP2_FLAG_NONE, last, NGHTTP2_NO_ERROR, nullptr, 0);
    wake_writer();
  }
  if (!greeted_ && now >= begun_ + limits_.head_timeout) {
    terminate(NGHTTP2_SETTINGS_TIMEOUT, kNoPreface);
  } else if (head_since_ && now >= *head_since_ + limits_.head_timeout) {
    terminate(NGHTTP2_ENHANCE_YOUR_CALM, kSlowHead);
  } else if (streams_ == 0 && limits_.idle_timeout > Duration::zero() &&
             now >= idle_since_ + limits_.idle_timeout) {
    terminate(NGHTTP2_NO_ERROR, kIdle);
  }
  if (limits_.ping_interval == Duration::zero()) return {};
  if (ping_sent_ && now >= *ping_sent_ + limits_.ping_timeout) return std::unexpected(kNoSign);
  if (!ping_sent_ && now >= read_last_ + limits_.ping_interval) {
    ping_sent_ = now;
    nghttp2_submit_ping(session_, NGHTTP2_FLAG_NONE, nullptr);
    wake_writer();
  }
  return {};
}

// A socket that is closed with bytes unread sends a reset, which may overtake GOAWAY.
Task<void> Http2Session::linger() {
  if (!silent() || !stream_.shutdown_write()) co_return;
  const Time deadline = reactor_.now() + kGoodbyeMax;
  for (size_t total = 0; total < kLingerBytesMax;) {
    const Result<size_t> n = stream_.read_now(reactor_.scratch());
    if (n && *n == 0) co_return;
    if (n) {
      total += *n;
      continue;
    }
    if (n.error().code != Code::kWouldBlock) co_return;
    const Result<void> ready = co_await stream_.readable(deadline);
    if (!ready) co_return;
  }
}

// The connection's window is for what is on its way; while not too much waits here it
// opens again at once, so that no stream waits for another one's consumer.
void Http2Session::body_bytes_came(size_t bytes) {
  bodies_bytes_ += bytes;
  bodies_bytes_owed_ += bytes;
  body_bytes_gone(0);
}

void Http2Session::body_bytes_gone(size_t bytes) {
  ASSERT(bytes <= bodies_bytes_);
  bodies_bytes_ -= bytes;
  if (bodies_bytes_owed_ == 0 || bodies_bytes_ > limits_.bodies_bytes_max) return;
  nghttp2_session_consume_connection(session_, std::exchange(bodies_bytes_owed_, 0));
  wake_writer();
}

// ---- writing ----------------------------------------------------------------

Task<void> Http2Session::write_all() {
  for (int writes = 1; !stopped_; ++writes) {
    const Result<void> filled = fill();
    if (!filled) {
      reason_ = filled.error();
      stream_.cancel();
      co_return;
    }
    if (out_begin_ == out_end_) {
      out_.release();
      if (over()) stream_.interrupt_read();
      (void)co_await writer_.wait(reactor_, Time::max());
      continue;
    }
    const Result<size_t> n = stream_.write_now({out_.data() + out_begin_, out_end_ - out_begin_});
    if (n) {
      out_begin_ += *n;
      if (writes % kQuota == 0) co_await yield(reactor_);
      continue;
    }
    Result<void> ready = std::unexpected(n.error());
    if (n.error().code == Code::kWouldBlock) {
      ready = co_await stream_.writable(reactor_.now() + limits_.progress_max);
    }
    if (ready) continue;
    if (!reason_ && !stream_.cancelled()) reason_ = ready.error();
    stream_.cancel();
    co_return;
  }
}

// Moves what nghttp2 holds of a frame behind what is there. True when all of it fit.
bool Http2Session::copy_pending() {
  const size_t bytes = std::min(pending_.size(), kOutBytes - out_end_);
  std::memcpy(out_.data() + out_end_, pending_.data(), bytes);
  out_end_ += bytes;
  pending_.remove_prefix(bytes);
  return pending_.empty();
}

void Http2Session::collect() {
  wake_writer();
  for (int writes = 0; writes < kQuota && !within_ && !stopped_; ++writes) {
    // With less room than this DATA waits (Callbacks::data_length).
    if (!fill() || kOutBytes - out_end_ >= 2 * kRoomMin) return;
    const Result<size_t> n = stream_.write_now({out_.data() + out_begin_, out_end_ - out_begin_});
    if (!n) return;
    out_begin_ += *n;
    if (out_begin_ != out_end_) return;
  }
}

// Collects frames of all streams until the buffer is full or nothing is left to say.
Result<void> Http2Session::fill() {
  if (out_begin_ == out_end_) out_begin_ = out_end_ = 0;
  within_ = true;
  const Result<void> filled = fill_room();
  within_ = false;
  return filled;
}

Result<void> Http2Session::fill_room() {
  if (nghttp2_session_want_write(session_) == 0 && pending_.empty()) return {};
  if (!out_) out_ = reactor_.buffers().take();
  if (!out_) return fail(Code::kLimit, "http2", "no buffer is left");
  if (!pending_.empty() && !copy_pending()) return {};
  while (kOutBytes - out_end_ >= kRoomMin) {
    const uint8_t* frame = nullptr;
    const ssize_t n = nghttp2_session_mem_send(session_, &frame);
    if (n < 0) return fail(Code::kLimit, "http2", "no memory");
    if (n == 0) return {};
    pending_ = {reinterpret_cast<const char*>(frame), static_cast<size_t>(n)};
    if (!copy_pending()) return {};
  }
  return {};
}

}  // namespace terrace::http
