#pragma once

#include <array>
#include <cstdint>
#include <string_view>

#include "base/assert.h"

namespace terrace::http {

// The version-neutral message. HTTP/1 (and later /2) is parsed into it and is
// always generated from it again: raw bytes of a peer are never forwarded.
// All views point into the buffer that was parsed and live as long as it.

enum class Method : uint8_t { kGet, kHead, kPost, kPut, kDelete, kOptions, kPatch, kConnect, kTrace, kOther };

// Fields that some code asks for by id. kOther is everything else.
enum class HeaderId : uint8_t {
  kOther,
  kUnderscore,  // a name with `_`: dropped before app servers, who might read it as `-`
  kAccept,
  kAcceptEncoding,
  kAcceptRanges,
  kAge,
  kAllow,
  kAuthorization,
  kCacheControl,
  kConnection,
  kContentEncoding,
  kContentLength,
  kContentRange,
  kContentType,
  kCookie,
  kDate,
  kETag,
  kExpect,
  kForwarded,
  kHost,
  kIfMatch,
  kIfModifiedSince,
  kIfNoneMatch,
  kIfRange,
  kIfUnmodifiedSince,
  kKeepAlive,
  kLastModified,
  kLocation,
  kProxy,
  kProxyConnection,
  kRange,
  kReferer,
  kServer,
  kSetCookie,
  kTe,
  kTrailer,
  kTransferEncoding,
  kUpgrade,
  kUserAgent,
  kVary,
  kVia,
  kXForwardedFor,
  kXForwardedHost,
  kXForwardedPort,
  kXForwardedProto,
  kXForwardedOther,  // any other X-Forwarded-*, and X-Real-IP
  kXRequestId,
};

// The id of a field name, in any case; kOther when it has none.
HeaderId header_id(std::string_view name);

struct Field {
  std::string_view name;   // as the peer wrote it
  std::string_view value;  // without the white space around it
  HeaderId id;
  // Named in Connection, or hop-by-hop by itself (RFC 9110 section 7.6.1): not forwarded.
  bool hop_by_hop;
};

// At most kCapacity fields; the parser answers 431 before it would overflow.
class Fields {
 public:
  // That a stranger may send; the rest is for what we add on the way.
  static constexpr int kMax = 100;
  static constexpr int kCapacity = kMax + 12;

  void clear() { size_ = 0; }
  int size() const { return size_; }
  const Field* begin() const { return fields_.data(); }
  const Field* end() const { return fields_.data() + size_; }
  Field* begin() { return fields_.data(); }
  Field* end() { return fields_.data() + size_; }
  void add(const Field& field) {
    ASSERT(size_ < kCapacity);
    fields_[static_cast<size_t>(size_++)] = field;
  }
  // A field at the end for the caller to fill; what it holds before is not defined.
  Field& append() {
    ASSERT(size_ < kCapacity);
    return fields_[static_cast<size_t>(size_++)];
  }
  // The last one takes its place.
  void remove(Field* field) {
    ASSERT(size_ > 0);
    *field = fields_[static_cast<size_t>(--size_)];
  }
  // The first field with this id, or null.
  const Field* find(HeaderId id) const {
    for (const Field& field : *this) {
      if (field.id == id) return &field;
    }
    return nullptr;
  }
  std::string_view value(HeaderId id) const {
    const Field* field = find(id);
    return field != nullptr ? field->value : std::string_view();
  }

 private:
  int size_ = 0;
  // Left uninitialised on purpose: only the first size_ are ever read.
  union {
    std::array<Field, kCapacity> fields_;
  };

 public:
  Fields() {}  // NOLINT
};

// How the end of a body is known (RFC 9112 section 6.3).
enum class Framing : uint8_t { kNone, kLength, kChunked, kUntilClose };

struct RequestHead {
  Method method = Method::kGet;
  bool http_1_0 = false;
  bool keep_alive = true;        // what the client asked for, by version and Connection
  bool expect_continue = false;  // Expect: 100-continue on 1.1, and a body is announced
  bool upgrade = false;          // Connection: upgrade with an Upgrade field on 1.1, GET, no body
  Framing framing = Framing::kNone;
  uint64_t content_length = 0;  // bytes; only with Framing::kLength
  std::string_view method_text;
  // Origin form: path and query as the client sent them, validated; "*" for OPTIONS *.
  std::string_view target;
  std::string_view path;       // of target, up to the `?`
  std::string_view query;      // after the `?`, without it
  std::string_view authority;  // the Host, or of an absolute-form target: "host[:port]"; empty only on 1.0
  Fields fields;

  bool has_body() const { return framing != Framing::kNone; }
  // RFC 9110 section 9.2.2: may be sent again when the connection broke.
  bool idempotent() const {
    return method == Method::kGet || method == Method::kHead || method == Method::kPut ||
           method == Method::kDelete || method == Method::kOptions || method == Method::kTrace;
  }
};

struct ResponseHead {
  int status = 200;
  bool http_1_0 = false;
  bool keep_alive = true;  // what the server offers
  Framing framing = Framing::kNone;
  uint64_t content_length = 0;  // bytes; valid with kLength, and for HEAD and 304 when has_content_length
  bool has_content_length = false;
  std::string_view reason;
  Fields fields;
};

// The reason phrase of RFC 9110 section 15; "" for an unknown status.
std::string_view reason_phrase(int status);

}  // namespace terrace::http
