#include "http/cookie.h"

#include "http/syntax.h"

namespace terrace::http {
namespace {

std::string_view find(std::string_view cookies, std::string_view name) {
  while (!cookies.empty()) {
    const size_t end = cookies.find(';');
    const std::string_view pair = trim(cookies.substr(0, end));
    if (pair.size() > name.size() && pair[name.size()] == '=' && pair.starts_with(name))
      return pair.substr(name.size() + 1);
    if (end == std::string_view::npos) break;
    cookies.remove_prefix(end + 1);
  }
  return {};
}

}  // namespace

std::string_view cookie(const Fields& fields, std::string_view name) {
  for (const Field& field : fields) {
    if (field.id != HeaderId::kCookie) continue;
    const std::string_view value = find(field.value, name);
    if (!value.empty()) return value;
  }
  return {};
}

}  // namespace terrace::http
