#include "web/error_pages.h"

#include <charconv>

#include "base/assert.h"
#include "http/message.h"

namespace terrace::web {
namespace {

// One sentence for who is not a programmer; "" where the reason says it all.
std::string_view explanation(int status) {
  switch (status) {
    case 400:
      return "The browser sent something that this site does not understand.";
    case 401:
    case 403:
      return "This page is not open to you.";
    case 404:
      return "There is no page at this address.";
    case 405:
      return "This address cannot be used in that way.";
    case 413:
      return "What was sent is too large.";
    case 429:
      return "Too many requests at once. Please try again in a moment.";
    case 500:
      return "Something went wrong on our side.";
    case 502:
      return "The application did not answer properly. Please try again.";
    case 503:
      return "The site is busy or being restarted. Please try again in a moment.";
    case 504:
      return "The application took too long to answer. Please try again.";
    default:
      return {};
  }
}

// Nothing is fetched from elsewhere and no script runs, so that it works under any
// policy and when everything else is down.
std::string built_in(int status, std::string_view reason) {
  const std::string number = std::to_string(status);
  std::string page =
      "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>";
  page.append(number).append(" ").append(reason);
  page +=
      "</title>\n<style>\n"
      ":root { color-scheme: light dark; }\n"
      "body { font: 1rem/1.5 system-ui, sans-serif; margin: 0; min-height: 100vh; display: grid; "
      "place-content: center; text-align: center; padding: 1rem; box-sizing: border-box; }\n"
      "h1 { font-size: 4rem; margin: 0; line-height: 1; }\np { margin: .5rem 0 0; }\n"
      "</style>\n</head>\n<body>\n<main>\n<h1>";
  page.append(number).append("</h1>\n<p><strong>").append(reason).append("</strong></p>\n");
  const std::string_view more = explanation(status);
  if (!more.empty()) page.append("<p>").append(more).append("</p>\n");
  return page += "</main>\n</body>\n</html>\n";
}

Result<std::string> read_page(const Folder& folder, std::string_view path) {
  const Result<Descriptor> file = folder.open_beneath(path, Patience::kMayBlock);
  if (!file) return std::unexpected(file.error());
  struct stat status{};
  if (::fstat(file->get(), &status) != 0) return fail_system("fstat");
  const FileIdentity identity = identity_of(status);
  if (!S_ISREG(status.st_mode)) return fail(Code::kInvalid, "error page", "not a file");
  if (identity.size > ErrorPages::kPageBytesMax) return fail(Code::kLimit, "error page", "larger than 1 MiB");
  return read_content(file->get(), identity.size, Patience::kMayBlock);
}

}  // namespace

ErrorPages::ErrorPages(const topology::WebTable& web, const Folder* folder, const Log& log) {
  for (int status = 400; status < 600; ++status) {
    const std::string_view reason = http::reason_phrase(status);
    if (reason.empty()) continue;
    const std::string number = std::to_string(status);
    Page& page = pages_[status];
    page.html = built_in(status, reason);
    page.text.append(number).append(" ").append(reason).append("\n");
    page.json.append("{\"status\": ").append(number).append(", \"error\": \"").append(reason).append("\"}\n");
  }
  for (const topology::Named& named : web.errors) {
    int status = 0;
    std::from_chars(named.name.data(), named.name.data() + named.name.size(), status);
    const auto page = pages_.find(status);
    if (folder == nullptr || page == pages_.end()) continue;
    page->second.path = named.value.starts_with('/') ? named.value : '/' + named.value;
    Result<std::string> content = read_page(*folder, page->second.path);
    if (content) {
      page->second.html = std::move(*content);
    } else {
      log.warning("cannot read an error page",
                  {{"path", page->second.path}, {"error", describe(content.error())}});
    }
  }
}

const ErrorPages::Page& ErrorPages::page(int status) const {
  const auto found = pages_.find(status);
  if (found != pages_.end()) return found->second;
  return pages_.at(500);
}

std::string_view ErrorPages::html(int status) const { return page(status).html; }
std::string_view ErrorPages::json(int status) const { return page(status).json; }
std::string_view ErrorPages::text(int status) const { return page(status).text; }
std::string_view ErrorPages::live_path(int status) const { return page(status).path; }

}  // namespace terrace::web
