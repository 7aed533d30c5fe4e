#include "http/field_line.h"

#include <bit>
#include <charconv>
#include <cstring>
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
// Ids that say little about the bytes of the name.
constexpr uint64_t kUnlisted = bits({HeaderId::kOther, HeaderId::kUnderscore, HeaderId::kXForwardedOther});
constexpr uint64_t kNoted = kHopByHop | bit(HeaderId::kContentLength);

// Why `line` does not begin with a name and a colon.
const char* name_fault(std::string_view line) {
  if (!line.empty() && is_space(line[0])) return "folded line, or white space before a field";
  const std::string_view name = line.substr(0, line.find(':'));
  if (name.size() == line.size()) return "field line without a colon";
  if (name.empty()) return "empty field name";
  return is_space(name.back()) ? "white space before the colon" : "a byte that no field name can have";
}

// The first colon, or the length of the line. Eight bytes at a time: in a word
// whose colons have become zero, the lowest zero byte has its top bit set.
size_t find_colon(std::string_view line) {
  constexpr uint64_t kOnes = 0x0101010101010101;
  static_assert(std::endian::native == std::endian::little);
  size_t at = 0;
  for (; at + 8 <= line.size(); at += 8) {
    uint64_t word;
    memcpy(&word, line.data() + at, sizeof word);
    word ^= kOnes * ':';
    const uint64_t zeros = (word - kOnes) & ~word & (kOnes << 7);
    if (zeros != 0) return at + static_cast<size_t>(std::countr_zero(zeros)) / 8;
  }
  while (at < line.size() && line[at] != ':') at++;
  return at;
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
  if (list == "keep-alive") {
    seen.keep_alive = true;
    return true;
  }
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
  const size_t colon = find_colon(line);
  if (colon == 0 || colon == line.size()) return name_fault(line);
  field.name = line.substr(0, colon);
  field.value = trim(line.substr(colon + 1));
  field.id = header_id(field.name);
  field.hop_by_hop = false;
  // A name that was recognised is a token.
  if ((kUnlisted & bit(field.id)) != 0 && !is_token(field.name)) return name_fault(line);
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
