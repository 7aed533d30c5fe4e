#include "http/field_line.h"

#include <charconv>
#include <initializer_list>

#include "http/syntax.h"

namespace terrace::http {
namespace {

// The ids as bits of a word.
constexpr uint64_t bit(HeaderId id) { return uint64_t{1} << static_cast<int>(id); }
constexpr uint64_t bits(std::initializer_list<HeaderId> ids) {
  uint64_t all = 0;
  for (const HeaderId id : ids) all |= bit(id);
  return all;
}
static_assert(static_cast<int>(HeaderId::kXRequestId) < 64);

// RFC 9110 section 7.6.1.
constexpr uint64_t kHopByHop =
    bits({HeaderId::kConnection, HeaderId::kKeepAlive, HeaderId::kProxyConnection, HeaderId::kTe,
          HeaderId::kTrailer, HeaderId::kTransferEncoding, HeaderId::kUpgrade});
// No peer can have these removed by naming them in Connection.
constexpr uint64_t kNotRemovable =
    bits({HeaderId::kContentLength, HeaderId::kHost, HeaderId::kForwarded, HeaderId::kXForwardedFor,
          HeaderId::kXForwardedHost, HeaderId::kXForwardedPort, HeaderId::kXForwardedProto,
          HeaderId::kXForwardedOther, HeaderId::kXRequestId});
constexpr uint64_t kNoted = kHopByHop | bit(HeaderId::kContentLength);

// Why the byte at `at` cannot end or be in the name of `line`.
const char* name_fault(std::string_view line, size_t at) {
  if (at == 0 && !line.empty() && is_space(line[0])) return "folded line, or white space before a field";
  if (at == line.size()) return "field line without a colon";
  if (line[at] == ':') return "empty field name";
  if (is_space(line[at])) return "white space in or after a field name";
  return "a byte that no field name can have";
}

// RFC 9110 section 8.6, and stricter: one field with one number, of at most 19
// digits so that it cannot overflow, below 2^63.
bool note_content_length(std::string_view value, FieldsSeen& seen, Refusal& refusal) {
  if (seen.has_content_length) return refusal.because(400, "two Content-Length fields");
  if (seen.chunked) return refusal.because(400, "Content-Length with Transfer-Encoding");
  for (const char c : value) {
    if (!is_digit(c)) return refusal.because(400, "Content-Length is not a number");
  }
  if (value.empty() || value.size() > 19) return refusal.because(400, "Content-Length is out of range");
  std::from_chars(value.data(), value.data() + value.size(), seen.content_length);
  if (seen.content_length >> 63 != 0) return refusal.because(400, "Content-Length is out of range");
  seen.has_content_length = true;
  return true;
}

// Only `chunked` is known. A coding that is not known is 501 where the chunked
// coding is at its place or absent (RFC 9112 section 6.1).
bool refuse_codings(std::string_view list, Refusal& refusal) {
  bool chunked = false;
  while (!list.empty()) {
    if (chunked) return refusal.because(400, "chunked is not the last transfer coding");
    const std::string_view coding = next_element(list);
    if (!is_token(coding)) return refusal.because(400, "Transfer-Encoding is not a list of codings");
    chunked = equals_ignoring_case(coding, "chunked");
  }
  return refusal.because(501, "unknown transfer coding");
}

bool note_transfer_encoding(std::string_view value, bool http_1_0, FieldsSeen& seen, Refusal& refusal) {
  if (seen.has_content_length) return refusal.because(400, "Content-Length with Transfer-Encoding");
  if (seen.chunked) return refusal.because(400, "two Transfer-Encoding fields");
  if (http_1_0) return refusal.because(400, "Transfer-Encoding on HTTP/1.0");
  if (value.empty() || value.back() == ',') return refusal.because(400, "empty transfer coding");
  if (!equals_ignoring_case(value, "chunked")) return refuse_codings(value, refusal);
  seen.chunked = true;
  return true;
}

// The fields are searched for each name in Connection; a client must not make
// that expensive.
constexpr int kConnectionOptionsMax = 32;

// RFC 9110 section 7.6.1. Elements that are no tokens name nothing.
bool note_connection(std::string_view list, FieldsSeen& seen, Refusal& refusal) {
  while (!list.empty()) {
    const std::string_view option = next_element(list);
    if (++seen.connection_options > kConnectionOptionsMax) {
      return refusal.because(400, "too many Connection options");
    }
    if (equals_ignoring_case(option, "keep-alive")) {
      seen.keep_alive = true;
    } else if (equals_ignoring_case(option, "close")) {
      seen.close = true;
    } else if (equals_ignoring_case(option, "upgrade")) {
      seen.upgrade_option = true;
    } else {
      seen.names_fields = true;
    }
  }
  return true;
}

void mark_fields_named(std::string_view name, Fields& fields) {
  for (Field& field : fields) {
    if (field.name.size() != name.size() || (kNotRemovable & bit(field.id)) != 0) continue;
    if (equals_ignoring_case(field.name, name)) field.hop_by_hop = true;
  }
}

}  // namespace

const char* parse_field_line(std::string_view line, Field& field) {
  size_t colon = 0;
  while (colon < line.size() && is_token_byte(line[colon])) colon++;
  if (colon == 0 || colon == line.size() || line[colon] != ':') return name_fault(line, colon);
  field.name = line.substr(0, colon);
  field.value = trim(line.substr(colon + 1));
  field.id = header_id(field.name);
  field.hop_by_hop = false;
  return is_value(field.value) ? nullptr : "a control byte in a field value";
}

bool note_field(Field& field, bool http_1_0, FieldsSeen& seen, Refusal& refusal) {
  const uint64_t id = bit(field.id);
  if ((kNoted & id) == 0) return true;
  field.hop_by_hop = (kHopByHop & id) != 0;
  switch (field.id) {
    case HeaderId::kContentLength:
      return note_content_length(field.value, seen, refusal);
    case HeaderId::kTransferEncoding:
      return note_transfer_encoding(field.value, http_1_0, seen, refusal);
    case HeaderId::kConnection:
      return note_connection(field.value, seen, refusal);
    case HeaderId::kUpgrade:
      seen.upgrade_field = !field.value.empty();
      return true;
    default:
      return true;
  }
}

void mark_named_fields(Fields& fields) {
  for (const Field& field : fields) {
    if (field.id != HeaderId::kConnection) continue;
    std::string_view list = field.value;
    while (!list.empty()) mark_fields_named(next_element(list), fields);
  }
}

}  // namespace terrace::http
