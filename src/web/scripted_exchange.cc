#include "web/scripted_exchange.h"

#include <unistd.h>

#include "base/assert.h"
#include "http/syntax.h"

namespace terrace::web {

ScriptedExchange::ScriptedExchange(Reactor& reactor, http::Method method, std::string target)
    : reactor_(reactor), target_(std::move(target)), released_(reactor) {
  released_.set();
  head_.method = method;
  head_.target = target_;
  head_.path = std::string_view(target_).substr(0, target_.find('?'));
  if (head_.path.size() < target_.size())
    head_.query = std::string_view(target_).substr(head_.path.size() + 1);
}

void ScriptedExchange::add(std::string_view name, std::string_view value) {
  kept_.push_back(std::make_unique<std::pair<std::string, std::string>>(name, value));
  const auto& [kept_name, kept_value] = *kept_.back();
  head_.fields.add(
      {.name = kept_name, .value = kept_value, .id = http::header_id(name), .hop_by_hop = false});
}

void ScriptedExchange::set_authority(std::string authority) {
  authority_ = std::move(authority);
  head_.authority = authority_;
}

std::string ScriptedExchange::value(std::string_view name) const {
  for (const auto& [field_name, field_value] : fields_) {
    if (http::equals_ignoring_case(field_name, name)) return field_value;
  }
  return {};
}

int ScriptedExchange::count(std::string_view name) const {
  int found = 0;
  for (const auto& field : fields_) found += http::equals_ignoring_case(field.first, name) ? 1 : 0;
  return found;
}

Task<Result<std::string_view>> ScriptedExchange::read_body() {
  return Task<Result<std::string_view>>::ready(std::string_view());
}

bool ScriptedExchange::sends_body() const {
  return head_.method != http::Method::kHead && status_ != 204 && status_ != 304;
}

void ScriptedExchange::begin(const http::ResponseHead& head, std::optional<uint64_t> length) {
  ASSERT(status_ == 0);
  status_ = head.status;
  length_ = length.value_or(0);
  for (const http::Field& field : head.fields) {
    fields_.emplace_back(field.name, field.value);
    // Whoever gives an id of another field would have it treated as that one.
    ASSERT(field.id == http::header_id(field.name));
  }
}

Result<void> ScriptedExchange::take(std::string_view bytes, bool last) {
  if (sends_body()) body_ += bytes;
  if (last) finished_ = true;
  if (last && sends_body() && body_.size() != length_) aborted_ = true;
  return {};
}

Result<void> ScriptedExchange::take_file(int file, off_t offset, uint64_t bytes) {
  std::string content(bytes, '\0');
  const ssize_t got = ::pread(file, content.data(), bytes, offset);
  if (got != static_cast<ssize_t>(bytes)) return fail(Code::kInvalid, "sendfile", "cut short");
  return take(content, false);
}

Task<Result<void>> ScriptedExchange::write_later(std::string_view bytes, bool last) {
  co_await released_.wait();
  co_return take(bytes, last);
}

Task<Result<void>> ScriptedExchange::send_file_later(int file, off_t offset, uint64_t bytes) {
  co_await released_.wait();
  co_return take_file(file, offset, bytes);
}

Task<Result<void>> ScriptedExchange::write(std::string_view bytes) {
  if (!released_.is_set()) return write_later(bytes, false);
  return Task<Result<void>>::ready(take(bytes, false));
}

Task<Result<void>> ScriptedExchange::write_last(std::string_view bytes) {
  if (!released_.is_set()) return write_later(bytes, true);
  return Task<Result<void>>::ready(take(bytes, true));
}

Task<Result<void>> ScriptedExchange::flush() { return Task<Result<void>>::ready({}); }

Task<Result<void>> ScriptedExchange::send_file(int file, off_t offset, uint64_t bytes) {
  if (!released_.is_set()) return send_file_later(file, offset, bytes);
  return Task<Result<void>>::ready(take_file(file, offset, bytes));
}

Task<Result<void>> ScriptedExchange::finish() { return write_last({}); }

Task<Result<void>> ScriptedExchange::respond(const http::ResponseHead& head, std::string_view body) {
  begin(head, body.size());
  return write_last(body);
}

}  // namespace terrace::web
