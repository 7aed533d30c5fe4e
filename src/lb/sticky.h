#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace terrace::lb {

// The cookie by which a client stays with its backend. Its value is a signature of the
// backend's name (HMAC-SHA256 with a secret of the site, RFC 2104, cut to 128 bits), so it
// names nobody to who reads it, nobody can choose a backend by it, and every load balancer
// of the site knows it. All values of a pool are computed beforehand: a request is only
// compared with them. Immutable; any thread.
class StickyCookies {
 public:
  static constexpr std::string_view kName = "terrace-server";

  // `secret`: 32 bytes or more. The names stand in the order of their positions; at most
  // kBackendsMax.
  StickyCookies(std::string_view secret, const std::vector<std::string>& names);

  // Whose value this is; none for anything else, such as that of a backend that left.
  std::optional<size_t> find(std::string_view value) const;
  std::optional<size_t> position(std::string_view name) const;
  const std::string& name(size_t backend) const { return backends_[backend].name; }
  // The whole Set-Cookie field of the backend; `secure` where the client came by HTTPS. It
  // ends with the browser's session (RFC 6265 section 5.2).
  const std::string& set_cookie(size_t backend, bool secure) const;

 private:
  struct Backend {
    std::string name;
    std::string value;
    std::string plain;
    std::string secure;
  };
  std::vector<Backend> backends_;
};

}  // namespace terrace::lb
