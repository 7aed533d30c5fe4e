#include "web/responder.h"

#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <vector>

#include "http/syntax.h"
#include "web/conditions.h"

namespace terrace::web {
namespace {

using http::Exchange;
using http::Field;
using http::HeaderId;
using http::Method;
using http::ResponseHead;

constexpr Field field(std::string_view name, std::string_view value, HeaderId id) {
  return {.name = name, .value = value, .id = id, .hop_by_hop = false};
}

void add_all(http::Fields& fields, std::span<const Field> more) {
  for (const Field& one : more) fields.add(one);
}

// [web] headers, save those that this answer must say otherwise.
void add_extra(http::Fields& fields, std::span<const Field> extra) {
  const int own = fields.size();
  for (const Field& one : extra) {
    const bool said = std::any_of(fields.begin(), fields.begin() + own, [&one](const Field& other) {
      return http::equals_ignoring_case(one.name, other.name);
    });
    if (!said) fields.add(one);
  }
}

std::time_t wall_seconds(Exchange& exchange) {
  return std::chrono::system_clock::to_time_t(exchange.reactor().clock().wall());
}

Task<void> await_sending(Task<Result<void>> sending, EntryRef entry) {
  // An error means that the client is gone: the exchange knows.
  [[maybe_unused]] const Result<void> sent = co_await sending;
  [[maybe_unused]] const EntryRef kept = std::move(entry);
}

// Without a frame when all is sent already.
Task<void> settle(Task<Result<void>> sending, EntryRef entry) {
  if (sending.await_ready()) return Task<void>::ready();
  return await_sending(std::move(sending), std::move(entry));
}

Task<void> send_rest_of_file(Exchange& exchange, Task<Result<void>> sending, EntryRef entry) {
  const Result<void> sent = co_await sending;
  if (!sent) {
    exchange.abort();  // the file was cut short, or the client is gone
    co_return;
  }
  [[maybe_unused]] const Result<void> finished = co_await exchange.finish();
  [[maybe_unused]] const EntryRef kept = std::move(entry);
}

// The bytes of `range` after a head that promised them.
Task<void> send_file(Exchange& exchange, EntryRef entry, const Variant& variant, const ByteRange& range) {
  Task<Result<void>> sending =
      exchange.send_file(variant.file.get(), static_cast<off_t>(range.first), range.bytes());
  if (!sending.await_ready()) return send_rest_of_file(exchange, std::move(sending), std::move(entry));
  const Result<void> sent = sending.await_resume();
  if (!sent) {
    exchange.abort();
    return Task<void>::ready();
  }
  return settle(exchange.finish(), std::move(entry));
}

// What the fields of a request ask for, found in one pass.
struct Asked {
  bool conditional = false;
  bool range = false;
};

Asked asked_by(const http::Fields& fields) {
  Asked asked;
  for (const Field& one : fields) {
    switch (one.id) {
      case HeaderId::kIfMatch:
      case HeaderId::kIfNoneMatch:
      case HeaderId::kIfModifiedSince:
      case HeaderId::kIfUnmodifiedSince:
        asked.conditional = true;
        break;
      case HeaderId::kRange:
        asked.range = true;
        break;
      default:
        break;
    }
  }
  return asked;
}

// The media types of an error answer, by what the client accepts. A browser names
// HTML, a program asks for JSON, curl takes anything.
enum class ErrorForm : uint8_t { kHtml, kJson, kText };

ErrorForm error_form(const http::Fields& fields) {
  const std::string_view accept = fields.value(HeaderId::kAccept);
  if (accept.empty() || accept.contains("text/html") || accept.contains("*/*")) return ErrorForm::kHtml;
  if (accept.contains("json")) return ErrorForm::kJson;
  return accept.contains("text/plain") ? ErrorForm::kText : ErrorForm::kHtml;
}

std::string content_range(const ByteRange& range, uint64_t size) {
  return fmt::format("bytes {}-{}/{}", range.first, range.last, size);
}

}  // namespace

Responder::Choice Responder::choose(const Entry& entry, const http::Fields& fields) {
  AcceptEncoding accept;
  bool named = false;
  for (const Field& one : fields) {
    if (one.id != HeaderId::kAcceptEncoding) continue;
    accept.add(one.value);
    named = true;
  }
  if (!named) return {};
  CodingSet available;
  available.add(Coding::kIdentity);
  // A range is one of the file's own bytes, so that parts fetched with different
  // Accept-Encoding fit together.
  const bool whole = fields.find(HeaderId::kRange) == nullptr;
  for (size_t i = 1; i < kCodings && whole; ++i) {
    const auto coding = static_cast<Coding>(i);
    const bool makes = entry.compresses && !entry.useless.has(coding);
    if (makes || entry.siblings.has(coding)) available.add(coding);
  }
  const Coding coding = accept.choose(available, entry.siblings);
  return {.coding = coding, .acceptable = accept.weight(coding) > 0};
}

Task<void> Responder::file(Exchange& exchange, EntryRef entry) {
  const Choice choice = choose(*entry, exchange.request().fields);
  if (!choice.acceptable) {
    const Field vary = field("Vary", "Accept-Encoding", HeaderId::kVary);
    return error(exchange, 406, {&vary, 1});
  }
  const Variant* ready = entry->variant(choice.coding);
  if (ready == nullptr) return file_compressed(exchange, std::move(entry), choice.coding);
  return variant(exchange, std::move(entry), *ready);
}

Task<void> Responder::file_compressed(Exchange& exchange, EntryRef entry, Coding coding) {
  const Variant* made = co_await files_->compressed(entry, coding);
  if (made == nullptr) made = entry->variant(Coding::kIdentity);
  co_await variant(exchange, std::move(entry), *made);
}

Task<void> Responder::variant(Exchange& exchange, EntryRef entry, const Variant& variant) {
  const http::RequestHead& request = exchange.request();
  const Asked asked = asked_by(request.fields);
  if (asked.conditional || asked.range) {
    const Validators validators{.etag = variant.etag, .modified = entry->modified};
    const std::time_t now = wall_seconds(exchange);
    const Outcome outcome = evaluate_conditions(request.fields, validators, now);
    if (outcome == Outcome::kNotModified) return not_modified(exchange, variant);
    if (outcome == Outcome::kPreconditionFailed) return error(exchange, 412);
    const bool wants_range = asked.range && request.method == Method::kGet;
    if (wants_range && range_applies(request.fields, validators, now)) {
      const Ranges wanted = Ranges::parse(request.fields.value(HeaderId::kRange), variant.size);
      if (wanted.kind() != Ranges::Kind::kIgnored) return ranges(exchange, std::move(entry), variant, wanted);
    }
  }
  ResponseHead head;
  add_all(head.fields, variant.fields);
  if (variant.in_memory) return settle(exchange.respond(head, variant.content), std::move(entry));
  exchange.begin(head, variant.size);
  if (request.method == Method::kHead || variant.size == 0)
    return settle(exchange.finish(), std::move(entry));
  return send_file(exchange, std::move(entry), variant, {.first = 0, .last = variant.size - 1});
}

// Only what a cache needs to bring its copy up to date (RFC 9110 section 15.4.5).
Task<void> Responder::not_modified(Exchange& exchange, const Variant& variant) {
  ResponseHead head;
  head.status = 304;
  for (const Field& one : variant.fields) {
    const bool of_the_body = one.id == HeaderId::kContentType || one.id == HeaderId::kContentEncoding ||
                             one.id == HeaderId::kLastModified || one.id == HeaderId::kAcceptRanges;
    if (!of_the_body) head.fields.add(one);
  }
  return settle(exchange.respond(head, {}), {});
}

Task<void> Responder::ranges(Exchange& exchange, EntryRef entry, const Variant& variant,
                             const Ranges& ranges) {
  if (ranges.kind() == Ranges::Kind::kUnsatisfiable) return unsatisfiable(exchange, variant.size);
  if (ranges.parts().size() == 1) return part(exchange, std::move(entry), variant, ranges.parts()[0]);
  return parts(exchange, std::move(entry), variant, ranges);
}

Task<void> Responder::unsatisfiable(Exchange& exchange, uint64_t size) {
  const std::string text = fmt::format("bytes */{}", size);
  const Field range = field("Content-Range", text, HeaderId::kContentRange);
  co_await error(exchange, 416, {&range, 1});
}

Task<void> Responder::part(Exchange& exchange, EntryRef entry, const Variant& variant,
                           const ByteRange& range) {
  ResponseHead head;
  head.status = 206;
  add_all(head.fields, variant.fields);
  const std::string text = content_range(range, variant.size);
  head.fields.add(field("Content-Range", text, HeaderId::kContentRange));
  if (variant.in_memory) {
    const std::string_view bytes = std::string_view(variant.content).substr(range.first, range.bytes());
    return settle(exchange.respond(head, bytes), std::move(entry));
  }
  exchange.begin(head, range.bytes());
  return send_file(exchange, std::move(entry), variant, range);
}

// multipart/byteranges, RFC 9110 section 14.6.
Task<void> Responder::parts(Exchange& exchange, EntryRef entry, const Variant& variant, Ranges ranges) {
  const std::string boundary =
      fmt::format("{:016x}{:016x}", exchange.reactor().random().next(), exchange.reactor().random().next());
  const std::string type = fmt::format("multipart/byteranges; boundary={}", boundary);
  const std::string end = fmt::format("\r\n--{}--\r\n", boundary);
  std::vector<std::string> heads;
  uint64_t length = end.size();
  for (const ByteRange& range : ranges.parts()) {
    heads.push_back(fmt::format("\r\n--{}\r\nContent-Type: {}\r\nContent-Range: {}\r\n\r\n", boundary,
                                entry->type.text, content_range(range, variant.size)));
    length += heads.back().size() + range.bytes();
  }
  ResponseHead head;
  head.status = 206;
  for (Field one : variant.fields) {
    if (one.id == HeaderId::kContentType) one.value = type;
    head.fields.add(one);
  }
  exchange.begin(head, length);
  for (size_t i = 0; i < heads.size(); ++i) {
    const ByteRange& range = ranges.parts()[i];
    Result<void> sent = co_await exchange.write(heads[i]);
    if (!sent) co_return;
    if (variant.in_memory) {
      const std::string_view bytes = std::string_view(variant.content).substr(range.first, range.bytes());
      sent = co_await exchange.write(bytes);
    } else {
      sent = co_await exchange.send_file(variant.file.get(), static_cast<off_t>(range.first), range.bytes());
    }
    if (!sent) {
      exchange.abort();
      co_return;
    }
  }
  [[maybe_unused]] const Result<void> sent = co_await exchange.write_last(end);
}

Task<void> Responder::error(Exchange& exchange, int status, std::span<const Field> more) {
  const std::string_view path = pages_.live_path(status);
  if (path.empty() || files_ == nullptr) return error_page(exchange, status, more, {});
  Found page = files_->find(path);
  if (page.status == Found::Status::kPending) {
    return error_after_load(exchange, status, {more.begin(), more.end()});
  }
  return error_page(exchange, status, more, std::move(page.entry));
}

Task<void> Responder::error_after_load(Exchange& exchange, int status, std::vector<Field> more) {
  Found page = co_await files_->load(std::string(pages_.live_path(status)));
  co_await error_page(exchange, status, more, std::move(page.entry));
}

// `page`: the site's own page as it is now; without it that of the start, or ours.
Task<void> Responder::error_page(Exchange& exchange, int status, std::span<const Field> more, EntryRef page) {
  std::string_view type = "text/html; charset=utf-8";
  std::string_view body = pages_.html(status);
  const ErrorForm form = error_form(exchange.request().fields);
  if (form == ErrorForm::kJson) {
    type = "application/json";
    body = pages_.json(status);
  } else if (form == ErrorForm::kText) {
    type = "text/plain; charset=utf-8";
    body = pages_.text(status);
  } else if (const Variant* live = page ? page->variant(Coding::kIdentity) : nullptr) {
    if (live->in_memory) body = live->content;
  }
  ResponseHead head;
  head.status = status;
  head.fields.add(field("Content-Type", type, HeaderId::kContentType));
  // Nobody may keep an error for longer than it lasts; [web] headers do not change that.
  head.fields.add(field("Cache-Control", "no-store", HeaderId::kCacheControl));
  head.fields.add(field("X-Content-Type-Options", "nosniff", HeaderId::kOther));
  add_all(head.fields, more);
  add_extra(head.fields, representation_.extra_fields());
  return settle(exchange.respond(head, body), std::move(page));
}

Task<void> Responder::redirect(Exchange& exchange, int status, std::string_view location) {
  ResponseHead head;
  head.status = status;
  head.fields.add(field("Location", location, HeaderId::kLocation));
  head.fields.add(field("Content-Type", "text/plain; charset=utf-8", HeaderId::kContentType));
  add_extra(head.fields, representation_.extra_fields());
  return settle(exchange.respond(head, "This page is at another address.\n"), {});
}

Task<void> Responder::allow(Exchange& exchange, std::string_view methods) {
  ResponseHead head;
  head.status = 204;
  head.fields.add(field("Allow", methods, HeaderId::kAllow));
  add_extra(head.fields, representation_.extra_fields());
  return settle(exchange.respond(head, {}), {});
}

}  // namespace terrace::web
