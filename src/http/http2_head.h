#pragma once

#include <string_view>

#include "http/message.h"
#include "http/parser.h"
#include "reactor/buffers.h"

namespace terrace::http {

// An extended CONNECT is refused by any status but 2xx (RFC 8441 section 5). Who answers one
// as an ordinary GET, because it knows nothing of the protocol that was asked for, says so to
// our own client: with this status, and the real one in this field.
constexpr int kNoTunnelStatus = 501;
constexpr std::string_view kRealStatus = "terrace-status";

// Decoded fields of HTTP/2 to messages (RFC 9113 section 8). nghttp2 has refused what
// is malformed: names in upper case, bytes that no value may have, fields of the
// connection, pseudo fields that are missing, twice or out of order. Here is what
// remains: limits, one authority, cookies in one field again, and the rules that
// hold for HTTP/1 too. All views point into a pooled buffer of the reader.
class Http2HeadReader {
 public:
  void start(Buffers& buffers);
  void release() { bytes_.release(); }
  // Fields beyond the limits are counted and not kept; finish_… then refuses. False
  // when there are so many that reading on is not worth it.
  bool add(std::string_view name, std::string_view value, const HeadLimits& limits, Fields& fields);
  // `end`: no body follows. False: refused, see refusal().
  bool finish_request(const HeadLimits& limits, bool end, RequestHead& head);
  // `request`: the method that is answered. A 1xx comes out like any other status.
  bool finish_response(Method request, bool end, ResponseHead& head);
  const Refusal& refusal() const { return refusal_; }

 private:
  // The decoded size at which a peer is no longer merely verbose, in heads.
  static constexpr size_t kExcessFactor = 8;

  bool add_pseudo(std::string_view name, std::string_view value);
  bool add_cookie(std::string_view value, Fields& fields);
  bool take_host(RequestHead& head);
  bool take_fields(RequestHead& head);
  std::string_view keep(std::string_view text);
  bool refuse(int status, const char* text);

  Buffer bytes_;
  size_t used_ = 0;
  size_t decoded_ = 0;  // as RFC 9113 section 6.5.2 counts
  int cookie_ = -1;     // the place of the cookies among the fields
  bool refused_ = false;
  Refusal refusal_;
  FieldsSeen seen_;
  std::string_view method_;
  std::string_view path_;
  std::string_view authority_;
  std::string_view host_;
  std::string_view protocol_;
  std::string_view status_;
  bool has_host_ = false;
};

}  // namespace terrace::http
