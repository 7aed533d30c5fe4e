#include "topology/database_url.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>

#include "config/interpolate.h"
#include "net/address.h"

namespace terrace::topology {
namespace {

using std::string_view;

using Refused = std::unexpected<string_view>;

constexpr string_view kSubDelimiters = "!$&'()*+,;=";

struct UsualPort {
  string_view kind;
  uint16_t port;
};
constexpr std::array<UsualPort, 13> kUsualPorts{{{"postgres", 5432},
                                                 {"postgresql", 5432},
                                                 {"mysql", 3306},
                                                 {"mysql2", 3306},
                                                 {"mariadb", 3306},
                                                 {"trilogy", 3306},
                                                 {"redis", 6379},
                                                 {"rediss", 6379},
                                                 {"mongodb", 27017},
                                                 {"sqlserver", 1433},
                                                 {"mssql", 1433},
                                                 {"oracle", 1521},
                                                 {"cockroachdb", 26257}}};

bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_plain(char c) { return is_letter(c) || is_digit(c) || c == '-' || c == '.' || c == '_' || c == '~'; }

int hex_value(char c) {
  if (is_digit(c)) return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

// Unreserved bytes, those of `allowed`, and %XX.
std::expected<std::string, string_view> decode(string_view text, string_view allowed) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '%') {
      const int high = i + 2 < text.size() ? hex_value(text[i + 1]) : -1;
      const int low = i + 2 < text.size() ? hex_value(text[i + 2]) : -1;
      if (high < 0 || low < 0) return Refused("two hex digits follow a `%`; `%` itself is written as %25");
      if (high == 0 && low == 0) return Refused("%00 cannot be a part of it");
      out += static_cast<char>(high * 16 + low);
      i += 2;
    } else if (is_plain(text[i]) || allowed.find(text[i]) != string_view::npos) {
      out += text[i];
    } else {
      return Refused("what is special in a URL is written as %XX in its user, password and name");
    }
  }
  if (out.size() > kDatabaseUrlPartBytesMax) return Refused("a part of it is longer than 1000 bytes");
  return out;
}

bool has_control(string_view text) {
  return std::ranges::any_of(text, [](char c) { return static_cast<unsigned char>(c) < ' ' || c == 0x7f; });
}

std::expected<std::string, string_view> parse_host(string_view text) {
  if (text.starts_with('[')) {
    const auto ip = net::Ip::parse(text.substr(1, text.size() - 2));
    if (!text.ends_with(']') || !ip || ip->is_v4()) return Refused("the brackets hold no IPv6 address");
    return std::string(text.substr(1, text.size() - 2));
  }
  if (text.find(',') != string_view::npos)
    return Refused("one host; a URL of several belongs into [app] env, beside [db] engine = \"none\"");
  auto host = decode(text, "");
  if (!host) return Refused("a host is a name, an address, or an IPv6 address in brackets");
  if (has_control(*host) || host->find(':') != std::string::npos || host->find(']') != std::string::npos ||
      host->find('[') != std::string::npos)
    return Refused("a host is a name, an address, or an IPv6 address in brackets");
  return host;
}

std::optional<uint16_t> parse_port(string_view text) {
  uint16_t port = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  if (error != std::errc() || end != text.data() + text.size() || port == 0) return std::nullopt;
  return port;
}

// "" or what is wrong.
string_view read_user(string_view text, DatabaseUrl& url) {
  const size_t colon = std::min(text.find(':'), text.size());
  auto user = decode(text.substr(0, colon), kSubDelimiters);
  if (!user) return user.error();
  const string_view rest = text.substr(std::min(colon + 1, text.size()));
  auto password = decode(rest, "!$&'()*+,;=:");
  if (!password) return password.error();
  url.user = *std::move(user);
  url.password = *std::move(password);
  return "";
}

string_view read_place(string_view text, DatabaseUrl& url) {
  const size_t bracket = text.rfind(']');
  const size_t colon = text.find(':', bracket == string_view::npos ? 0 : bracket);
  auto host = parse_host(text.substr(0, colon));
  if (!host) return host.error();
  url.host = *std::move(host);
  if (colon == string_view::npos) return "";
  const std::optional<uint16_t> port = parse_port(text.substr(colon + 1));
  if (!port)
    return "a port is a number from 1 to 65535; an `@`, `:` or `/` in the password is %40, %3A or %2F";
  if (url.host.empty()) return "a host stands before the port";
  url.port = *port;
  return "";
}

string_view read_authority(string_view text, DatabaseUrl& url) {
  const size_t at = text.find('@');
  if (at != string_view::npos) {
    if (text.find('@', at + 1) != string_view::npos)
      return "an `@` in the user or the password is written as %40";
    if (const string_view wrong = read_user(text.substr(0, at), url); !wrong.empty()) return wrong;
    text.remove_prefix(at + 1);
    if (text.empty()) return "the host is missing";
  }
  return read_place(text, url);
}

// `text` begins with the slash before the name.
string_view read_name(string_view text, DatabaseUrl& url) {
  if (text.find('@') != string_view::npos)
    return "an `@`, `/` or `?` in the user or the password is written as %40, %2F or %3F";
  auto name = decode(text.substr(1), url.is_sqlite() ? "/!$&'()*+,;=:" : "!$&'()*+,;=:");
  if (!name) {
    const bool slash = text.find('/', 1) != string_view::npos;
    return slash ? "one name follows the host; a `/` in it is written as %2F" : name.error();
  }
  if (has_control(*name)) return "the name holds a control character";
  url.name = *std::move(name);
  return "";
}

string_view check_file(const DatabaseUrl& url) {
  if (!url.host.empty() || !url.user.empty() || !url.password.empty())
    return "a SQLite file has no host: four slashes and its path";
  if (!url.name.starts_with('/') || url.name.size() < 2)
    return "the path of a SQLite file is absolute: four slashes";
  return "";
}

string_view read_rest(string_view text, DatabaseUrl& url) {
  const size_t question = text.find('?');
  if (question != string_view::npos) {
    url.query = text.substr(question + 1);
    text = text.substr(0, question);
  }
  const size_t slash = std::min(text.find('/'), text.size());
  if (const string_view wrong = read_authority(text.substr(0, slash), url); !wrong.empty()) return wrong;
  if (slash < text.size()) {
    if (const string_view wrong = read_name(text.substr(slash), url); !wrong.empty()) return wrong;
  }
  if (url.is_sqlite()) return check_file(url);
  const bool nothing = url.host.empty() && url.name.empty() && url.query.empty();
  return nothing ? "nothing follows the scheme" : "";
}

bool is_scheme(string_view text) {
  return !text.empty() && text.size() <= 32 && is_letter(text[0]) && std::ranges::all_of(text, [](char c) {
    return is_letter(c) || is_digit(c) || c == '+' || c == '-' || c == '.';
  });
}

}  // namespace

string_view DatabaseUrl::kind() const { return string_view(scheme).substr(0, scheme.find('+')); }

bool DatabaseUrl::is_sqlite() const { return kind() == "sqlite" || kind() == "sqlite3"; }

uint16_t DatabaseUrl::port_or_usual() const {
  if (port != 0 || host.empty()) return port;
  const auto* usual = std::ranges::find(kUsualPorts, kind(), &UsualPort::kind);
  return usual != kUsualPorts.end() ? usual->port : 0;
}

std::expected<DatabaseUrl, string_view> parse_database_url(string_view text) {
  if (text.size() > kDatabaseUrlBytesMax) return Refused("it is longer than 4096 bytes");
  const size_t colon = text.find("://");
  if (colon == string_view::npos || !is_scheme(text.substr(0, colon)))
    return Refused("it must begin with a scheme such as `postgres://`");
  if (text.size() <= colon + 3) return Refused("nothing follows the scheme");
  if (!std::ranges::all_of(text, [](char c) { return c > ' ' && c < 0x7f; }))
    return Refused("visible ASCII only; write the rest as %XX");
  if (text.find('#') != string_view::npos) return Refused("a `#` is written as %23");
  DatabaseUrl url;
  for (const char c : text.substr(0, colon))
    url.scheme += static_cast<char>(c >= 'A' && c <= 'Z' ? c + 32 : c);
  const string_view wrong = read_rest(text.substr(colon + 3), url);
  if (!wrong.empty()) return Refused(wrong);
  return url;
}

std::string to_text(const DatabaseUrl& url, string_view scheme) {
  std::string out = fmt::format("{}://", scheme);
  if (!url.user.empty() || !url.password.empty()) {
    out += config::percent_encode(url.user);
    if (!url.password.empty()) out += ":" + config::percent_encode(url.password);
    out += "@";
  }
  const bool brackets = url.host.find(':') != std::string::npos;
  out += brackets ? "[" + url.host + "]" : config::percent_encode(url.host);
  if (url.port != 0) out += fmt::format(":{}", url.port);
  if (!url.name.empty()) out += "/" + config::percent_encode(url.name, url.is_sqlite() ? "/" : "");
  if (!url.query.empty()) out += "?" + url.query;
  return out;
}

std::string value_of(const DatabaseUrl& url, string_view placeholder) {
  if (url.is_sqlite()) return placeholder == "path" ? url.name : "";
  if (placeholder == "host") return url.host;
  if (placeholder == "port") return url.port_or_usual() == 0 ? "" : std::to_string(url.port_or_usual());
  if (placeholder == "name") return url.name;
  if (placeholder == "user") return url.user;
  return placeholder == "password" ? url.password : "";
}

}  // namespace terrace::topology
