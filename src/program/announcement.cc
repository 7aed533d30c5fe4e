#include "program/announcement.h"

#include <fmt/format.h>

#include <algorithm>

namespace terrace::program {
namespace {

bool is_local(std::string_view host) {
  return host == "127.0.0.1" || host == "[::1]" || host == "0.0.0.0" || host == "[::]";
}

// Each once, in the order of the addresses: 127.0.0.1 and [::1] are one name.
std::vector<std::string> urls_of(const std::vector<std::string>& addresses) {
  std::vector<std::string> urls;
  for (const std::string& address : addresses) {
    std::string url = local_url(address);
    if (std::ranges::find(urls, url) == urls.end()) urls.push_back(std::move(url));
  }
  return urls;
}

}  // namespace

std::string local_url(std::string_view address) {
  const size_t colon = address.rfind(':');
  if (colon == std::string_view::npos) return fmt::format("http://{}", address);
  const std::string_view host = address.substr(0, colon);
  const std::string_view port = address.substr(colon + 1);
  const std::string_view shown = is_local(host) ? "localhost" : host;
  return port == "80" ? fmt::format("http://{}", shown) : fmt::format("http://{}:{}", shown, port);
}

std::string announcement_text(const Announcement& announcement) {
  std::string text =
      announcement.web.empty() && !announcement.hop.empty()
          ? fmt::format("serving the load balancers, on {}\n", fmt::join(announcement.hop, ", "))
          : fmt::format("serving {}\n", fmt::join(urls_of(announcement.web), ", "));
  text += "  what runs  terrace status\n";
  if (!announcement.admin.empty())
    text += fmt::format("  metrics    http://{}/metrics\n", announcement.admin);
  text += fmt::format("  logs       terrace logs -f, or {}\n", announcement.log_folder);
  return text;
}

}  // namespace terrace::program
