// One stream: heads out, bodies both ways.

#include <nghttp2/nghttp2.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>
#include <utility>

#include "base/assert.h"
#include "http/http2_head.h"
#include "http/http2_session.h"

namespace terrace::http {
namespace {

// Fields that belong to the connection or to the framing: generated, never passed on.
bool owned_by_protocol(const Field& field) {
  switch (field.id) {
    case HeaderId::kConnection:
    case HeaderId::kContentLength:
    case HeaderId::kHost:
    case HeaderId::kKeepAlive:
    case HeaderId::kProxyConnection:
    case HeaderId::kTe:
    case HeaderId::kTrailer:
    case HeaderId::kTransferEncoding:
    case HeaderId::kUpgrade:
      return true;
    default:
      return field.hop_by_hop;
  }
}

// The fields of one head as nghttp2 takes them; it copies them, names in lower case.
class Pairs {
 public:
  void add(std::string_view name, std::string_view value, uint8_t flags = NGHTTP2_NV_FLAG_NONE) {
    nghttp2_nv& pair = pairs_[count_++];
    pair.name = bytes(name);
    pair.namelen = name.size();
    pair.value = bytes(value);
    pair.valuelen = value.size();
    pair.flags = flags;
  }
  void add_length(uint64_t length) {
    const auto [end, error] = std::to_chars(digits_.data(), digits_.data() + digits_.size(), length);
    add("content-length", {digits_.data(), static_cast<size_t>(end - digits_.data())});
  }
  void add_status(int status) {
    const auto [end, error] = std::to_chars(status_.data(), status_.data() + status_.size(), status);
    add(":status", {status_.data(), static_cast<size_t>(end - status_.data())});
  }
  void add_all(const Fields& fields) {
    for (const Field& field : fields) {
      if (!owned_by_protocol(field)) add(field.name, field.value, table_flags(field));
    }
  }
  const nghttp2_nv* data() const { return pairs_.data(); }
  size_t size() const { return count_; }

 private:
  // What is another value each time would push the others out of the table (RFC 7541
  // section 2.3.2), and cost both sides an entry.
  static uint8_t table_flags(const Field& field) {
    return field.id == HeaderId::kXRequestId ? NGHTTP2_NV_FLAG_NO_INDEX : NGHTTP2_NV_FLAG_NONE;
  }
  static uint8_t* bytes(std::string_view text) {
    return const_cast<uint8_t*>(reinterpret_cast<const uint8_t*>(text.data()));
  }
  static constexpr size_t kOwnMax = 8;
  size_t count_ = 0;
  std::array<char, 20> digits_;
  std::array<char, 4> status_;
  std::array<nghttp2_nv, Fields::kCapacity + kOwnMax> pairs_;
};

Error error_of(uint32_t code) {
  switch (code) {
    case NGHTTP2_REFUSED_STREAM:
      return {.code = Code::kUnavailable, .place = "stream", .text = "refused by the peer"};
    case NGHTTP2_PROTOCOL_ERROR:
    case NGHTTP2_FLOW_CONTROL_ERROR:
    case NGHTTP2_FRAME_SIZE_ERROR:
    case NGHTTP2_STREAM_CLOSED:
    case NGHTTP2_COMPRESSION_ERROR:
      return {.code = Code::kInvalid, .place = "stream", .text = "the protocol was broken"};
    default:
      return {.code = Code::kClosed, .place = "stream", .text = "reset"};
  }
}

}  // namespace

// Asked when there is window and room; the bytes themselves are copied straight from
// where they are (Http2Session::Callbacks::send_data).
struct Http2Stream::Source {
  static ssize_t read(nghttp2_session* session, int32_t id, uint8_t*, size_t length, uint32_t* flags,
                      nghttp2_data_source*, void*) {
    auto* stream = static_cast<Http2Stream*>(nghttp2_session_get_stream_user_data(session, id));
    if (stream == nullptr) return NGHTTP2_ERR_DEFERRED;  // given up: its reset is on the way
    const uint64_t unsent = stream->unsent();
    if (unsent == 0 && !stream->last_) return NGHTTP2_ERR_DEFERRED;
    const uint64_t bytes = std::min<uint64_t>(unsent, length);
    *flags |= NGHTTP2_DATA_FLAG_NO_COPY;
    if (bytes == unsent && stream->last_) *flags |= NGHTTP2_DATA_FLAG_EOF;
    return static_cast<ssize_t>(bytes);
  }
};

Http2Stream::~Http2Stream() { ASSERT(session_ == nullptr); }

void Http2Stream::reset_state() {
  ASSERT(session_ == nullptr);
  id_ = 0;
  failure_.reset();
  body_.clear();
  head_done_ = remote_ended_ = head_sent_ = last_ = end_sent_ = peer_reset_ = false;
  taken_ = 0;
  out_ = {};
  file_ = -1;
  file_left_ = 0;
}

void Http2Stream::take_off_list() {
  (previous_ != nullptr ? previous_->next_ : session_->first_) = next_;
  if (next_ != nullptr) next_->previous_ = previous_;
  next_ = previous_ = nullptr;
  if (--session_->streams_ == 0) session_->idle_since_ = session_->reactor_.now();
  session_ = nullptr;
}

// The connection gets the credit of all that waits, whether somebody still takes it or not.
void Http2Stream::drop_body() { session_->body_bytes_gone(body_.size()); }

void Http2Stream::detach(Reset reason) {
  if (session_ == nullptr) return;
  Http2Session& session = *session_;
  drop_body();
  nghttp2_session_set_stream_user_data(session.nghttp2(), id_, nullptr);
  if (!remote_ended_ || !end_sent_) {
    nghttp2_submit_rst_stream(session.nghttp2(), NGHTTP2_FLAG_NONE, id_, static_cast<uint32_t>(reason));
    session.wake_writer();
  }
  take_off_list();
  // What is still to be sent belongs to the caller, who may take it away now.
  out_ = {};
  file_ = -1;
  file_left_ = 0;
}

void Http2Stream::close(uint32_t code) {
  drop_body();
  take_off_list();
  const bool complete = remote_ended_ && (!last_ || end_sent_);
  if (!complete || code != NGHTTP2_NO_ERROR) failure_ = error_of(code);
  stream_closed();
  readable_.notify();
  writable_.notify();
}

Result<void> Http2Stream::submit_response(const ResponseHead& head, int status,
                                          std::optional<uint64_t> length, std::string_view date, bool ends) {
  if (session_ == nullptr) return fail(Code::kClosed, "response");
  Pairs pairs;
  pairs.add_status(status);
  pairs.add_all(head.fields);
  std::array<char, 4> real;
  if (status == kNoTunnelStatus && head.status != status) {
    const auto [end, error] = std::to_chars(real.data(), real.data() + real.size(), head.status);
    pairs.add(kRealStatus, {real.data(), static_cast<size_t>(end - real.data())});
  }
  if (!date.empty()) pairs.add("date", date);
  if (length) pairs.add_length(*length);
  const nghttp2_data_provider provider{.source = {.ptr = this}, .read_callback = Source::read};
  const int submitted = nghttp2_submit_response(session_->nghttp2(), id_, pairs.data(), pairs.size(),
                                                ends ? nullptr : &provider);
  if (submitted != 0) return fail(Code::kClosed, "response");
  last_ = end_sent_ = ends;
  return {};
}

Result<void> Http2Stream::submit_informational(int status) {
  if (session_ == nullptr) return fail(Code::kClosed, "response");
  Pairs pairs;
  pairs.add_status(status);
  const int submitted = nghttp2_submit_headers(session_->nghttp2(), NGHTTP2_FLAG_NONE, id_, nullptr,
                                               pairs.data(), pairs.size(), nullptr);
  if (submitted != 0) return fail(Code::kClosed, "response");
  session_->wake_writer();
  return {};
}

Result<void> Http2Stream::submit_request(Http2Session& session, const RequestLine& line, const Fields& fields,
                                         std::optional<uint64_t> length, bool ends) {
  Pairs pairs;
  pairs.add(":method", line.method);
  pairs.add(":scheme", line.scheme);
  pairs.add(":authority", line.authority);
  pairs.add(":path", line.target);
  if (!line.protocol.empty()) pairs.add(":protocol", line.protocol);
  pairs.add_all(fields);
  if (length) pairs.add_length(*length);
  const nghttp2_data_provider provider{.source = {.ptr = this}, .read_callback = Source::read};
  const int32_t id = nghttp2_submit_request(session.nghttp2(), nullptr, pairs.data(), pairs.size(),
                                            ends ? nullptr : &provider, this);
  if (id < 0) return fail(Code::kUnavailable, "request", "the connection takes no more requests");
  session.attach(*this, id);
  last_ = end_sent_ = ends;
  session.wake_writer();
  session.leave_when_old();
  return {};
}

void Http2Stream::give_back_piece() {
  if (taken_ == 0) return;
  const size_t piece = std::exchange(taken_, 0);
  body_.pop(piece);
  if (session_ == nullptr) return;
  session_->body_bytes_gone(piece);
  nghttp2_session_consume_stream(session_->nghttp2(), id_, piece);
  session_->wake_writer();
}

Result<std::string_view> Http2Stream::take_now() {
  give_back_piece();
  const std::string_view piece = body_.front();
  // Of a stream that failed no more is used, though it may be here.
  if (failure_ && !remote_ended_) return std::unexpected(*failure_);
  taken_ = piece.size();
  if (!piece.empty() || remote_ended_) return piece;
  return fail(Code::kWouldBlock, "body");
}

void Http2Stream::send(std::string_view bytes, bool last) {
  ASSERT(unsent() == 0 && !last_);
  out_ = bytes;
  last_ = last;
  hand_over();
}

void Http2Stream::hand_over() {
  if (session_ == nullptr) return;
  // Refused when nghttp2 has not come to ask yet: it will.
  nghttp2_session_resume_data(session_->nghttp2(), id_);
  session_->collect();
}

void Http2Stream::send_file(int file, off_t offset, uint64_t bytes) {
  ASSERT(unsent() == 0 && !last_);
  file_ = file;
  file_offset_ = offset;
  file_left_ = bytes;
  hand_over();
}

bool Http2Stream::copy_unsent(char* into, size_t bytes) const {
  if (file_ < 0) {
    if (bytes > 0) std::memcpy(into, out_.data(), bytes);
    return true;
  }
  for (off_t at = file_offset_; bytes > 0;) {
    const ssize_t n = ::pread(file_, into, bytes, at);
    // A file that became shorter, or whose disk fails: the stream is reset.
    if (n <= 0) return false;
    into += n;
    at += n;
    bytes -= static_cast<size_t>(n);
  }
  return true;
}

void Http2Stream::sent_some(size_t bytes, bool end) {
  end_sent_ = end;
  if (file_ >= 0) {
    file_offset_ += static_cast<off_t>(bytes);
    file_left_ -= bytes;
    if (file_left_ == 0) file_ = -1;
  } else {
    out_.remove_prefix(bytes);
  }
  if (sent()) writable_.notify();
}

}  // namespace terrace::http
