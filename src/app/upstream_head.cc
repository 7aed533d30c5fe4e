#include "app/upstream_head.h"

#include "http/writer.h"

namespace terrace::app {
namespace {

using http::Field;
using http::HeaderId;

// Fields that we write ourselves, that only concern the hop, or that an app might
// take for something else than the proxy in front of it did.
bool forwarded_as_it_is(const Field& field) {
  if (field.hop_by_hop) return false;
  switch (field.id) {
    case HeaderId::kUnderscore:
    case HeaderId::kHost:
    case HeaderId::kConnection:
    case HeaderId::kContentLength:
    case HeaderId::kExpect:
    case HeaderId::kForwarded:
    case HeaderId::kKeepAlive:
    case HeaderId::kProxy:
    case HeaderId::kProxyConnection:
    case HeaderId::kTe:
    case HeaderId::kTrailer:
    case HeaderId::kTransferEncoding:
    case HeaderId::kUpgrade:
    case HeaderId::kXForwardedFor:
    case HeaderId::kXForwardedHost:
    case HeaderId::kXForwardedOther:
    case HeaderId::kXForwardedPort:
    case HeaderId::kXForwardedProto:
    case HeaderId::kXRequestId:
      return false;
    default:
      return true;
  }
}

// "name: theirs, ours": what trusted proxies before us wrote comes first.
void write_list(http::HeadWriter& writer, const http::RequestHead& request, HeaderId id,
                std::string_view name) {
  writer.text(name);
  writer.text(": ");
  for (const Field& field : request.fields) {
    if (field.id != id) continue;
    writer.text(field.value);
    writer.text(", ");
  }
}

void write_forwarded(http::HeadWriter& writer, const http::RequestHead& request,
                     const UpstreamContext& context, std::string_view ip) {
  const http::RequestHead none;
  const http::RequestHead& before = context.trusted ? request : none;
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

}  // namespace

std::string_view write_upstream_head(const http::RequestHead& request, const UpstreamContext& context,
                                     std::span<char> into) {
  char ip_text[64];
  const std::string_view ip = context.peer.local ? "127.0.0.1" : context.peer.ip.print(ip_text);
  http::HeadWriter writer(into);
  writer.request_line(request.method_text, request.target);
  writer.field("Host", request.authority.empty() ? "localhost" : request.authority);
  for (const Field& field : request.fields) {
    if (forwarded_as_it_is(field)) writer.field(field.name, field.value);
  }
  write_forwarded(writer, request, context, ip);
  writer.field("X-Request-Id", context.request_id);
  if (request.upgrade) {
    writer.field("Connection", "Upgrade");
    writer.field("Upgrade", request.fields.value(HeaderId::kUpgrade));
  }
  if (request.framing == http::Framing::kLength) writer.field("Content-Length", request.content_length);
  if (request.framing == http::Framing::kChunked) writer.field("Transfer-Encoding", "chunked");
  writer.end();
  return writer.overflow() ? std::string_view() : writer.written();
}

}  // namespace terrace::app
