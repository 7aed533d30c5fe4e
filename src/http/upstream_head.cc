#include "http/upstream_head.h"

#include "http/writer.h"

namespace terrace::http {
namespace {

// Fields that we write ourselves, that only concern the hop, or that an app might
// take for something else than the proxy in front of it did.
bool forwarded_as_it_is(const Field& field, bool relayed) {
  if (field.hop_by_hop) return false;
  switch (field.id) {
    case HeaderId::kUnderscore:
    case HeaderId::kHost:
    case HeaderId::kConnection:
    case HeaderId::kContentLength:
    case HeaderId::kExpect:
    case HeaderId::kKeepAlive:
    case HeaderId::kProxy:
    case HeaderId::kProxyConnection:
    case HeaderId::kTe:
    case HeaderId::kTrailer:
    case HeaderId::kTransferEncoding:
    case HeaderId::kUpgrade:
    case HeaderId::kXForwardedOther:
    case HeaderId::kXForwardedPort:
    case HeaderId::kXRequestId:
      return false;
    case HeaderId::kForwarded:
    case HeaderId::kXForwardedFor:
    case HeaderId::kXForwardedHost:
    case HeaderId::kXForwardedProto:
      return relayed;
    default:
      return true;
  }
}

// "name: theirs, ours": what trusted proxies before us wrote comes first.
void write_list(HeadWriter& writer, const RequestHead& request, HeaderId id, std::string_view name) {
  writer.text(name);
  writer.text(": ");
  for (const Field& field : request.fields) {
    if (field.id != id) continue;
    writer.text(field.value);
    writer.text(", ");
  }
}

void write_forwarded(HeadWriter& writer, const RequestHead& request, const UpstreamContext& context) {
  char ip_text[64];
  const std::string_view ip = context.peer.local ? "127.0.0.1" : context.peer.ip.print(ip_text);
  const RequestHead none;
  const RequestHead& before = context.trusted ? request : none;
  const std::string_view their_scheme = before.fields.value(HeaderId::kXForwardedProto);
  const std::string_view their_host = before.fields.value(HeaderId::kXForwardedHost);
  const std::string_view scheme = their_scheme.empty() ? context.scheme : their_scheme;
  const std::string_view host = their_host.empty() ? request.authority : their_host;
  write_list(writer, before, HeaderId::kXForwardedFor, "X-Forwarded-For");
  writer.text(ip);
  writer.text("\r\n");
  writer.field("X-Forwarded-Proto", scheme);
  if (!host.empty()) writer.field("X-Forwarded-Host", host);
  // RFC 7239: an IPv6 address is quoted and in brackets.
  write_list(writer, before, HeaderId::kForwarded, "Forwarded");
  const bool six = ip.find(':') != std::string_view::npos;
  writer.text(six ? "for=\"[" : "for=");
  writer.text(ip);
  writer.text(six ? "]\";proto=" : ";proto=");
  writer.text(context.scheme);
  if (!request.authority.empty()) {
    writer.text(";host=\"");
    writer.text(request.authority);
    writer.text("\"");
  }
  writer.text("\r\n");
}

void write_ours(HeadWriter& writer, const RequestHead& request, const UpstreamContext& context) {
  if (!context.relayed) write_forwarded(writer, request, context);
  writer.field("X-Request-Id", context.request_id);
}

}  // namespace

std::string_view write_upstream_head(const RequestHead& request, const UpstreamContext& context,
                                     std::span<char> into) {
  HeadWriter writer(into);
  writer.request_line(request.method_text, request.target);
  writer.field("Host", request.authority.empty() ? "localhost" : request.authority);
  for (const Field& field : request.fields) {
    if (forwarded_as_it_is(field, context.relayed)) writer.field(field.name, field.value);
  }
  write_ours(writer, request, context);
  if (request.upgrade) {
    writer.field("Connection", "Upgrade");
    writer.field("Upgrade", request.fields.value(HeaderId::kUpgrade));
  }
  if (request.framing == Framing::kLength) writer.field("Content-Length", request.content_length);
  if (request.framing == Framing::kChunked) writer.field("Transfer-Encoding", "chunked");
  writer.end();
  return writer.overflow() ? std::string_view() : writer.written();
}

bool upstream_fields(const RequestHead& request, const UpstreamContext& context, std::span<char> into,
                     Fields& fields) {
  for (const Field& field : request.fields) {
    if (forwarded_as_it_is(field, context.relayed)) fields.add(field);
  }
  HeadWriter writer(into);
  write_ours(writer, request, context);
  if (writer.overflow()) return false;
  constexpr std::string_view kBetween = ": ";
  constexpr std::string_view kEnd = "\r\n";
  for (std::string_view rest = writer.written(); !rest.empty();) {
    const size_t name = rest.find(kBetween);
    const size_t end = rest.find(kEnd);
    if (fields.size() == Fields::kCapacity) return false;
    const std::string_view value = rest.substr(name + kBetween.size(), end - name - kBetween.size());
    const std::string_view text = rest.substr(0, name);
    fields.add({text, value, header_id(text), false});
    rest.remove_prefix(end + kEnd.size());
  }
  return true;
}

}  // namespace terrace::http
