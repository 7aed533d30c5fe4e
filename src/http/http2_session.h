#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string_view>

#include "http/http2_body.h"
#include "http/http2_limits.h"
#include "http/message.h"
#include "net/stream.h"
#include "reactor/reactor.h"
#include "reactor/scope.h"
#include "reactor/task.h"
#include "reactor/wakeup.h"

struct nghttp2_session;

namespace terrace::http {

// What both sides of HTTP/2 (RFC 9113) share, over nghttp2: one connection of many
// streams, on one core.
//
// - Written is once per turn of the reactor: the frames of all streams that have
//   something to say leave in as few writes as their bytes allow. They are made at once,
//   while what they are made of is in the caches, and wait for the write side by side.
// - A stream's window opens as its bytes are taken, and by nothing else. What waits
//   in one stream does not keep another from going on, up to bodies_bytes_max.
// - Besides what nghttp2 refuses with the code that RFC 9113 names, oddities are
//   counted: PING, SETTINGS and PRIORITY frames, empty DATA, heads of old streams, streams that the
//   peer resets (CVE-2023-44487), streams that the peer makes us reset
//   (CVE-2025-8671), streams above the limit, heads that are too large. A peer over
//   the limit gets GOAWAY with ENHANCE_YOUR_CALM, and the connection ends.
// - Nothing is allocated per stream in steady state: nghttp2's memory comes from the
//   pool of coroutine frames.

class Http2Session;

// One stream, both ways: what is common to an exchange of a server and to a request of
// a client. Attached from its first frame until it is closed or given up; a closed one
// keeps what had come, with the reason why no more will.
class Http2Stream {
 public:
  Http2Stream() = default;
  virtual ~Http2Stream();
  Http2Stream(const Http2Stream&) = delete;
  Http2Stream& operator=(const Http2Stream&) = delete;

 protected:
  friend class Http2Session;

  // RFC 9113 section 7, as far as we say them ourselves.
  enum class Reset : uint32_t {
    kNoError = 0,
    kProtocolError = 1,
    kInternalError = 2,
    kRefused = 7,
    kCancel = 8
  };
  // A way of writing the same head: the pseudo fields, then the fields without what
  // the protocol owns.
  struct RequestLine {
    std::string_view method;
    std::string_view scheme;
    std::string_view authority;
    std::string_view target;
    std::string_view protocol;  // of an extended CONNECT (RFC 8441), or empty
  };

  // Told by the session, while it reads. A head may come in several frames.
  virtual void head_begins() = 0;
  virtual void head_field(std::string_view name, std::string_view value) = 0;
  // `end`: nothing follows it.
  virtual void head_ends(bool end) = 0;
  // Bytes of the body, or its end, have come, or nothing more will.
  virtual void body_comes() { readable_.notify(); }
  // The stream is closed and no longer attached. `failure_` says why, if not by its end.
  virtual void stream_closed() {}

  void reset_state();
  bool attached() const { return session_ != nullptr; }
  // Gives the stream up: resets it unless both sides have ended, and forgets it.
  void detach(Reset reason);

  // The head of an answer. `ends`: no body follows, and the stream ends with it.
  Result<void> submit_response(const ResponseHead& head, int status, std::optional<uint64_t> length,
                               std::string_view date, bool ends);
  Result<void> submit_informational(int status);
  Result<void> submit_request(Http2Session& session, const RequestLine& line, const Fields& fields,
                              std::optional<uint64_t> length, bool ends);

  // The next piece of the body, empty at its end; kWouldBlock when none is there. The
  // piece before is given back by this, which opens the window for as much.
  Result<std::string_view> take_now();
  // Gives back what take_now() has given.
  void give_back_piece();

  // Hands bytes over to be sent; they stay until unsent() is 0 or the stream is closed.
  // `last`: the end follows them.
  void send(std::string_view bytes, bool last);
  // The same with bytes of a file, read when there is room to send them.
  void send_file(int file, off_t offset, uint64_t bytes);
  uint64_t unsent() const { return file_ >= 0 ? file_left_ : out_.size(); }
  // All that was handed over, and the end if that was said, is on its way.
  bool sent() const { return unsent() == 0 && (!last_ || end_sent_); }

  Http2Session* session_ = nullptr;
  int32_t id_ = 0;
  std::optional<Error> failure_;
  Wakeup readable_;  // notified when body_comes()
  Wakeup writable_;  // notified when sent(), and when the stream is closed

  // Of what comes.
  Http2Body body_;
  bool head_done_ = false;
  bool remote_ended_ = false;
  size_t taken_ = 0;  // bytes of the piece that the consumer holds

  // Of what goes.
  bool head_sent_ = false;  // the head has left
  bool last_ = false;
  bool end_sent_ = false;
  bool peer_reset_ = false;  // the peer has given up this stream, and not only the connection

 private:
  struct Source;
  void close(uint32_t code);
  void take_off_list();
  void drop_body();
  void hand_over();
  bool copy_unsent(char* into, size_t bytes) const;
  void sent_some(size_t bytes, bool end);

  std::string_view out_;
  int file_ = -1;
  off_t file_offset_ = 0;
  uint64_t file_left_ = 0;
  Http2Stream* next_ = nullptr;  // of the session's
  Http2Stream* previous_ = nullptr;
};

class Http2Session {
 public:
  enum class Side : uint8_t { kServer, kClient };

  virtual ~Http2Session();
  Http2Session(const Http2Session&) = delete;
  Http2Session& operator=(const Http2Session&) = delete;

  // Connected, and TLS where there is any, before the first byte of HTTP/2.
  net::Stream& stream() { return stream_; }
  const net::Stream& stream() const { return stream_; }
  Reactor& reactor() const { return reactor_; }
  const Http2Limits& limits() const { return limits_; }
  // Open streams, as far as they are attached.
  int streams() const { return streams_; }
  // No stream begins any more, and the connection ends with the last that runs (GOAWAY,
  // RFC 9113 section 6.8). A server first says so and takes what was on its way.
  void drain();
  bool draining() const { return draining_; }
  // Everything ends now; who waits gets kCancelled.
  void cancel() { stream_.cancel(); }

 protected:
  friend class Http2Stream;
  struct Callbacks;

  Http2Session(Reactor& reactor, Side side, const Http2Limits& limits);

  // Speaks until the connection is over, then closes it. The error says why it ended:
  // kClosed, kTimeout (the peer gave no sign of life, or was too slow), kInvalid (the
  // peer broke the protocol), kLimit (its oddities), kCancelled. Nothing after a drain.
  Task<Result<void>> converse();
  // A stream of the peer begins. Null: it is refused (REFUSED_STREAM).
  virtual Http2Stream* stream_begins() = 0;
  // All bytes that were there have been looked at.
  virtual void input_read() {}
  void leave_when_old();
  // Whether a client may open one more stream: the peer's limit, ours, no GOAWAY.
  bool may_open() const;
  // The peer takes an extended CONNECT (RFC 8441 section 3).
  bool peer_takes_tunnels() const;

  nghttp2_session* nghttp2() const { return session_; }
  void wake_writer() { writer_.notify(); }
  // Makes frames of what was submitted, as far as there is room, and writes what is full.
  // What cannot leave now the writer sees to, who finds every error again.
  void collect();
  void attach(Http2Stream& stream, int32_t id);

 private:
  // How long the peer has to take a GOAWAY, and is listened to after it.
  static constexpr Duration kGoodbyeMax = std::chrono::seconds(1);
  // Between saying that no more streams are taken and refusing those that come: longer
  // than a stream is on its way.
  static constexpr Duration kNoticeTime = std::chrono::milliseconds(250);

  // What is written at once: one TLS record (RFC 8446 section 5.1).
  static constexpr size_t kOutBytes = 16384;
  static constexpr Error kTooOdd{.code = Code::kLimit, .place = "http2", .text = "too many odd frames"};

  Result<void> begin();
  Result<void> make_session();
  Task<Result<void>> read_all();
  Task<void> write_all();
  Task<void> linger();
  void feed(std::span<const char> bytes);
  Result<void> fill();
  Result<void> fill_room();
  bool copy_pending();
  Time next_deadline() const;
  Result<void> check_deadlines();
  bool silent() const;
  bool over() const;
  void terminate(uint32_t code, const Error& reason);
  void said_goodbye();
  void end_streams(const Error& reason);
  // Counts; false when the peer is over its budget, which ends the connection.
  bool odd(int oddities);
  void body_bytes_came(size_t bytes);
  void body_bytes_gone(size_t bytes);

  Reactor& reactor_;
  Side side_;
  Http2Limits limits_;
  net::Stream stream_;
  nghttp2_session* session_ = nullptr;
  Http2Stream* first_ = nullptr;
  int streams_ = 0;
  std::optional<Error> reason_;  // why it ends

  // Writing.
  Buffer out_;
  size_t out_begin_ = 0;
  size_t out_end_ = 0;
  std::string_view pending_;  // of nghttp2's memory: a frame that did not fit
  bool stopped_ = false;
  bool within_ = false;  // nghttp2 is at work, and not to be called again for input or output
  Wakeup writer_;

  // Reading and deadlines.
  OddityBudget oddities_;
  size_t block_bytes_ = 0;  // decoded bytes of the head that is being read
  size_t bodies_bytes_ = 0;
  size_t bodies_bytes_owed_ = 0;  // of the connection's window, not yet given back
  bool greeted_ = false;          // the peer's SETTINGS have come
  bool draining_ = false;
  Time begun_;
  Time read_last_;
  Time idle_since_;
  std::optional<Time> head_since_;
  std::optional<Time> ping_sent_;
  std::optional<Time> notice_until_;
  std::optional<Time> goodbye_until_;
};

}  // namespace terrace::http
