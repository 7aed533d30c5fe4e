// What nghttp2 asks and tells, and where its memory comes from.

#include <nghttp2/nghttp2.h>

#include <algorithm>
#include <cstring>

#include "http/http2_session.h"
#include "reactor/frame_pool.h"

namespace terrace::http {
namespace {

// nghttp2 frees without saying how much: the size stands before each piece.
struct alignas(16) Piece {
  size_t bytes;
};

void* allocate(size_t bytes, void*) {
  auto* piece = static_cast<Piece*>(FramePool::allocate(bytes + sizeof(Piece)));
  piece->bytes = bytes;
  return piece + 1;
}

void release(void* memory, void*) {
  if (memory == nullptr) return;
  Piece* piece = static_cast<Piece*>(memory) - 1;
  FramePool::release(piece, piece->bytes + sizeof(Piece));
}

void* allocate_zeroed(size_t count, size_t bytes, void*) {
  size_t total = 0;
  if (__builtin_mul_overflow(count, bytes, &total)) return nullptr;
  return std::memset(allocate(total, nullptr), 0, total);
}

void* reallocate(void* memory, size_t bytes, void*) {
  void* moved = allocate(bytes, nullptr);
  if (memory == nullptr) return moved;
  std::memcpy(moved, memory, std::min(bytes, (static_cast<Piece*>(memory) - 1)->bytes));
  release(memory, nullptr);
  return moved;
}

// HEADERS and up to so many CONTINUATIONs make a head (CVE-2024-27316).
constexpr size_t kContinuationsMax = 8;
// Answers to PING and SETTINGS that wait for a peer that does not read.
constexpr size_t kAnswersMax = 100;
// A decoded head over so many times its limit is not read to its end.
constexpr size_t kExcessFactor = 8;
constexpr size_t kFrameHeadBytes = 9;  // RFC 9113 section 4.1
constexpr int kOddHead = 10;

std::string_view text_of(const uint8_t* bytes, size_t size) {
  return {reinterpret_cast<const char*>(bytes), size};
}

}  // namespace

struct Http2Session::Callbacks {
  static Http2Session& session_of(void* own) { return *static_cast<Http2Session*>(own); }
  static Http2Stream* stream_of(nghttp2_session* session, int32_t id) {
    return static_cast<Http2Stream*>(nghttp2_session_get_stream_user_data(session, id));
  }
  // What the reading callbacks return: an error ends the connection.
  static int unless_odd(bool fine) { return fine ? 0 : NGHTTP2_ERR_CALLBACK_FAILURE; }

  static int frame_begins(nghttp2_session* session, const nghttp2_frame_hd* head, void* own) {
    Http2Session& self = session_of(own);
    const bool ack = (head->flags & NGHTTP2_FLAG_ACK) != 0;
    bool odd = false;
    switch (head->type) {
      case NGHTTP2_DATA:
        odd = head->length == 0 && (head->flags & NGHTTP2_FLAG_END_STREAM) == 0;
        break;
      case NGHTTP2_PING:
      case NGHTTP2_SETTINGS:
        odd = !ack;
        break;
      case NGHTTP2_RST_STREAM:
        odd = self.side_ == Side::kServer;
        break;
      case NGHTTP2_HEADERS:
        // Of a stream that is over: skipped, as they may have been on their way.
        odd = self.side_ == Side::kServer && stream_of(session, head->stream_id) == nullptr &&
              head->stream_id <= nghttp2_session_get_last_proc_stream_id(session);
        break;
      case NGHTTP2_WINDOW_UPDATE:
      case NGHTTP2_CONTINUATION:
        break;
      default:
        odd = true;
    }
    return unless_odd(!odd || self.odd(1));
  }

  static int head_begins(nghttp2_session* session, const nghttp2_frame* frame, void* own) {
    Http2Session& self = session_of(own);
    self.block_bytes_ = 0;
    self.head_since_ = self.reactor_.now();
    Http2Stream* stream = stream_of(session, frame->hd.stream_id);
    if (self.side_ == Side::kServer && frame->headers.cat == NGHTTP2_HCAT_REQUEST) {
      stream = self.draining_ && !self.notice_until_ ? nullptr : self.stream_begins();
      if (stream == nullptr) {
        nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, frame->hd.stream_id, NGHTTP2_REFUSED_STREAM);
        return 0;
      }
      self.attach(*stream, frame->hd.stream_id);
      nghttp2_session_set_stream_user_data(session, frame->hd.stream_id, stream);
      // All streams are as urgent, and take turns (RFC 9218).
      const nghttp2_extpri priority{.urgency = NGHTTP2_EXTPRI_DEFAULT_URGENCY, .inc = 1};
      nghttp2_session_change_extpri_stream_priority(session, frame->hd.stream_id, &priority, 1);
    }
    if (stream != nullptr && !stream->head_done_) stream->head_begins();
    return 0;
  }

  static int field(nghttp2_session* session, const nghttp2_frame* frame, const uint8_t* name,
                   size_t name_bytes, const uint8_t* value, size_t value_bytes, uint8_t, void* own) {
    Http2Session& self = session_of(own);
    const size_t before = self.block_bytes_;
    const size_t limit = self.limits_.head.head_max;
    self.block_bytes_ += name_bytes + value_bytes + 32;
    if (self.block_bytes_ > kExcessFactor * limit) return NGHTTP2_ERR_CALLBACK_FAILURE;
    if (before <= limit && self.block_bytes_ > limit && !self.odd(kOddHead)) {
      return NGHTTP2_ERR_CALLBACK_FAILURE;
    }
    Http2Stream* stream = stream_of(session, frame->hd.stream_id);
    // Trailers are counted, checked by nghttp2, and used for nothing.
    if (stream == nullptr || stream->head_done_) return 0;
    stream->head_field(text_of(name, name_bytes), text_of(value, value_bytes));
    return 0;
  }

  // nghttp2 would leave the field out; here the stream is reset (RFC 9113 section 8.2.1).
  static int bad_field(nghttp2_session*, const nghttp2_frame*, const uint8_t*, size_t, const uint8_t*, size_t,
                       uint8_t, void*) {
    return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
  }

  // The rest of a head that is refused is skipped by nghttp2.
  static int frame_refused(nghttp2_session*, const nghttp2_frame*, int, void* own) {
    session_of(own).head_since_.reset();
    return 0;
  }

  static int frame_came(nghttp2_session* session, const nghttp2_frame* frame, void* own) {
    Http2Session& self = session_of(own);
    const bool end = (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;
    if (frame->hd.type == NGHTTP2_SETTINGS) self.greeted_ = true;
    if (frame->hd.type == NGHTTP2_GOAWAY) self.draining_ = true;
    if (frame->hd.type == NGHTTP2_RST_STREAM) {
      Http2Stream* stream = stream_of(session, frame->hd.stream_id);
      if (stream != nullptr) stream->peer_reset_ = true;
    }
    if (frame->hd.type != NGHTTP2_HEADERS && frame->hd.type != NGHTTP2_DATA) return 0;
    if (frame->hd.type == NGHTTP2_HEADERS) self.head_since_.reset();
    Http2Stream* stream = stream_of(session, frame->hd.stream_id);
    if (stream == nullptr) return 0;
    const bool head = frame->hd.type == NGHTTP2_HEADERS && !stream->head_done_;
    if (end) stream->remote_ended_ = true;
    if (head) {
      stream->head_ends(end);
    } else if (end) {
      stream->body_comes();
    }
    return 0;
  }

  static int body_bytes(nghttp2_session* session, uint8_t, int32_t id, const uint8_t* bytes, size_t size,
                        void* own) {
    Http2Session& self = session_of(own);
    Http2Stream* stream = stream_of(session, id);
    if (stream == nullptr) {
      // Given up, while these were on their way.
      nghttp2_session_consume_connection(session, size);
      return 0;
    }
    self.body_bytes_came(size);
    if (stream->body_.append(self.reactor_.buffers(), text_of(bytes, size))) {
      stream->body_comes();
      return 0;
    }
    self.body_bytes_gone(size);
    nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, id, NGHTTP2_INTERNAL_ERROR);
    return 0;
  }

  static int stream_closes(nghttp2_session* session, int32_t id, uint32_t code, void*) {
    Http2Stream* stream = stream_of(session, id);
    if (stream != nullptr && stream->attached()) stream->close(code);
    return 0;
  }

  static int frame_left(nghttp2_session* session, const nghttp2_frame* frame, void* own) {
    Http2Session& self = session_of(own);
    if (frame->hd.type == NGHTTP2_HEADERS) {
      Http2Stream* stream = stream_of(session, frame->hd.stream_id);
      if (stream != nullptr) stream->head_sent_ = true;
    }
    if (frame->hd.type == NGHTTP2_GOAWAY && frame->goaway.error_code != NGHTTP2_NO_ERROR) self.said_goodbye();
    if (frame->hd.type != NGHTTP2_RST_STREAM) return 0;
    // What the peer makes us reset costs us as much as what it resets itself.
    const uint32_t code = frame->rst_stream.error_code;
    const bool theirs = code == NGHTTP2_PROTOCOL_ERROR || code == NGHTTP2_STREAM_CLOSED ||
                        code == NGHTTP2_FLOW_CONTROL_ERROR || code == NGHTTP2_FRAME_SIZE_ERROR ||
                        code == NGHTTP2_REFUSED_STREAM;
    if (theirs && !self.odd(1)) self.terminate(NGHTTP2_ENHANCE_YOUR_CALM, self.kTooOdd);
    return 0;
  }

  // A request that could not leave: GOAWAY came first, or it was given up.
  static int frame_kept(nghttp2_session* session, const nghttp2_frame* frame, int, void*) {
    if (frame->hd.type != NGHTTP2_HEADERS) return 0;
    Http2Stream* stream = stream_of(session, frame->hd.stream_id);
    if (stream == nullptr || stream->head_sent_) return 0;
    // nghttp2 closes it too, after this.
    nghttp2_session_set_stream_user_data(session, frame->hd.stream_id, nullptr);
    stream->close(NGHTTP2_REFUSED_STREAM);
    return 0;
  }

  // A frame of DATA fills the room that is left, and waits where that is little.
  static ssize_t data_length(nghttp2_session*, uint8_t, int32_t, int32_t connection_window,
                             int32_t stream_window, uint32_t frame_max, void* own) {
    const Http2Session& self = session_of(own);
    const size_t room = kOutBytes - self.out_end_;
    const size_t length = room >= 1024 ? room : kOutBytes;
    const auto allowed = static_cast<size_t>(std::min({connection_window, stream_window}));
    return static_cast<ssize_t>(std::min({length - kFrameHeadBytes, allowed, size_t{frame_max}}));
  }

  static int send_data(nghttp2_session* session, nghttp2_frame* frame, const uint8_t* head, size_t length,
                       nghttp2_data_source*, void* own) {
    Http2Session& self = session_of(own);
    if (kFrameHeadBytes + length > kOutBytes - self.out_end_) return NGHTTP2_ERR_WOULDBLOCK;
    Http2Stream* stream = stream_of(session, frame->hd.stream_id);
    char* into = self.out_.data() + self.out_end_;
    if (stream == nullptr || stream->unsent() < length ||
        !stream->copy_unsent(into + kFrameHeadBytes, length)) {
      return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    }
    std::memcpy(into, head, kFrameHeadBytes);
    self.out_end_ += kFrameHeadBytes + length;
    stream->sent_some(length, (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0);
    return 0;
  }

  static void set(nghttp2_session_callbacks* into) {
    nghttp2_session_callbacks_set_on_begin_frame_callback(into, frame_begins);
    nghttp2_session_callbacks_set_on_begin_headers_callback(into, head_begins);
    nghttp2_session_callbacks_set_on_header_callback(into, field);
    nghttp2_session_callbacks_set_on_invalid_header_callback(into, bad_field);
    nghttp2_session_callbacks_set_on_invalid_frame_recv_callback(into, frame_refused);
    nghttp2_session_callbacks_set_on_frame_recv_callback(into, frame_came);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(into, body_bytes);
    nghttp2_session_callbacks_set_on_stream_close_callback(into, stream_closes);
    nghttp2_session_callbacks_set_on_frame_send_callback(into, frame_left);
    nghttp2_session_callbacks_set_on_frame_not_send_callback(into, frame_kept);
    nghttp2_session_callbacks_set_data_source_read_length_callback(into, data_length);
    nghttp2_session_callbacks_set_send_data_callback(into, send_data);
  }

  static void set(const Http2Limits& limits, nghttp2_option* into) {
    nghttp2_option_set_no_auto_window_update(into, 1);
    nghttp2_option_set_no_closed_streams(into, 1);
    nghttp2_option_set_max_reserved_remote_streams(into, 0);
    nghttp2_option_set_max_outbound_ack(into, kAnswersMax);
    nghttp2_option_set_max_continuations(into, kContinuationsMax);
    nghttp2_option_set_max_deflate_dynamic_table_size(into, limits.header_table_bytes);
    // Counted as oddities, with limits that a hop of many clients can live with.
    nghttp2_option_set_stream_reset_rate_limit(into, UINT32_MAX, UINT32_MAX);
  }
};

Result<void> Http2Session::make_session() {
  static nghttp2_mem memory{.mem_user_data = nullptr,
                            .malloc = allocate,
                            .free = release,
                            .calloc = allocate_zeroed,
                            .realloc = reallocate};
  nghttp2_session_callbacks* callbacks = nullptr;
  nghttp2_option* option = nullptr;
  bool made = nghttp2_session_callbacks_new(&callbacks) == 0 && nghttp2_option_new(&option) == 0;
  if (made) {
    Callbacks::set(callbacks);
    Callbacks::set(limits_, option);
    const auto create = side_ == Side::kServer ? nghttp2_session_server_new3 : nghttp2_session_client_new3;
    made = create(&session_, callbacks, this, option, &memory) == 0;
  }
  nghttp2_option_del(option);
  nghttp2_session_callbacks_del(callbacks);
  if (!made) return fail(Code::kLimit, "http2", "no memory");
  return {};
}

}  // namespace terrace::http
