#include "topology/forms.h"

#include <algorithm>
#include <array>
#include <string>

#include "config/source.h"
#include "config/suggest.h"
#include "net/address.h"
#include "topology/database_url.h"

namespace terrace::topology {
namespace {

using std::string_view;

bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_visible(char c) { return c > ' ' && c < 0x7f; }
bool is_control(char c) { return static_cast<unsigned char>(c) < ' ' || c == 0x7f; }

bool all_of(string_view text, bool (*fits)(char)) { return std::ranges::all_of(text, fits); }

bool is_name_character(char c) { return is_letter(c) || is_digit(c) || c == '-' || c == '_'; }

// RFC 9110 section 5.6.2.
bool is_token_character(char c) {
  return is_letter(c) || is_digit(c) || string_view("!#$%&'*+-.^_`|~").find(c) != string_view::npos;
}

std::string lower(string_view text) {
  std::string out(text);
  for (char& c : out) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return out;
}

std::string check_name(string_view text) {
  if (text.empty()) return "it is empty";
  if (text.size() > 63) return "it is longer than 63 characters";
  if (!is_letter(text[0])) return "it must begin with a letter";
  if (!all_of(text, is_name_character)) return "letters, digits, `-` and `_` only";
  return {};
}

std::string check_label(string_view label) {
  if (label.empty()) return "two dots, or a dot at an end";
  if (label.size() > 63) return "a part between dots is longer than 63 characters";
  if (label.front() == '-' || label.back() == '-') return "a part begins or ends with `-`";
  const bool fits =
      std::ranges::all_of(label, [](char c) { return (c >= 'a' && c <= 'z') || is_digit(c) || c == '-'; });
  return fits ? "" : "lower-case letters, digits, `-` and `.` only";
}

std::string check_domain(string_view text) {
  if (text.empty()) return "it is empty; leave the key out to answer to any name";
  if (text.find("://") != string_view::npos) return "without `http://`";
  if (net::Ip::parse(text)) return "an address is not a name; leave the key out to answer to any name";
  if (text.find(':') != string_view::npos) return "without a port; ports are in `web.listen`";
  if (text.find('/') != string_view::npos) return "without a path";
  if (text.find('*') != string_view::npos) return "one name, without `*`";
  if (std::ranges::any_of(text, [](char c) { return static_cast<unsigned char>(c) >= 0x80; }))
    return "in the form that DNS knows: `xn--…`";
  if (text.size() > 253) return "it is longer than 253 characters";
  while (true) {
    const size_t dot = text.find('.');
    std::string wrong = check_label(text.substr(0, dot));
    if (!wrong.empty() || dot == string_view::npos) return wrong;
    text.remove_prefix(dot + 1);
  }
}

std::string check_command(string_view text) {
  if (text.find_first_not_of(" \t") == string_view::npos) return "it is empty";
  if (std::ranges::any_of(text, [](char c) { return is_control(c) && c != '\t'; }))
    return "one line without control characters";
  return {};
}

std::string check_path(string_view text) {
  if (text.empty()) return "it is empty";
  if (text.size() > 1024) return "it is longer than 1024 bytes";
  if (text.starts_with('~')) return "`~` is not expanded: write the whole path";
  if (std::ranges::any_of(text, is_control)) return "it holds a control character";
  return {};
}

std::string check_user(string_view text) {
  if (text == "root" || text == "0") return "the application never runs as root";
  if (text.empty() || text.size() > 32) return "between 1 and 32 characters";
  if (!((text[0] >= 'a' && text[0] <= 'z') || text[0] == '_'))
    return "it must begin with a lower-case letter or `_`";
  const bool fits = std::ranges::all_of(
      text, [](char c) { return (c >= 'a' && c <= 'z') || is_digit(c) || c == '-' || c == '_'; });
  return fits ? "" : "lower-case letters, digits, `-` and `_` only";
}

std::string check_variable(string_view text) {
  if (text.empty() || text.size() > 256) return "between 1 and 256 characters";
  if (is_digit(text[0])) return "it must not begin with a digit";
  const bool fits = std::ranges::all_of(text, [](char c) { return is_letter(c) || is_digit(c) || c == '_'; });
  return fits ? "" : "letters, digits and `_` only";
}

std::string check_nothing(string_view) { return {}; }

std::string check_url_path(string_view text) {
  if (!text.starts_with('/')) return "it must begin with `/`";
  if (text.size() > 2048) return "it is longer than 2048 characters";
  if (!all_of(text, is_visible)) return "visible ASCII only; write the rest as %XX";
  if (text.find('#') != string_view::npos) return "`#` never reaches a server";
  if (text.find('\\') != string_view::npos) return "`/` separates, not `\\`";
  return {};
}

std::string check_url_pattern(string_view text) {
  if (!text.starts_with('/') && !text.starts_with('*')) return "it must begin with `/` or `*`";
  if (text.find('?') != string_view::npos) return "a pattern is compared with the path, without the query";
  if (text.find("**") != string_view::npos) return "one `*` already stands for anything, `/` included";
  return check_url_path(text.starts_with('/') ? std::string(text) : "/" + std::string(text));
}

std::string check_redirected(string_view text) {
  if (!text.starts_with('/')) return "it must begin with `/`";
  if (std::ranges::count(text, '*') > 1) return "one `*` at most";
  return check_url_pattern(text);
}

std::string check_url(string_view text) {
  const size_t host = text.starts_with("http://") ? 7 : text.starts_with("https://") ? 8 : 0;
  if (host == 0) return "it must begin with `/`, `http://` or `https://`, perhaps behind a status";
  if (!all_of(text, is_visible)) return "visible ASCII only; write the rest as %XX";
  if (text.find('\\') != string_view::npos) return "`/` separates, not `\\`";
  if (text.size() == host || string_view("/:?#").find(text[host]) != string_view::npos)
    return "the host is missing";
  const size_t star = text.find('*');
  if (star != string_view::npos && text.find('/', host) > star)
    return "a `/` is missing between the host and `*`";
  return text.size() > 2048 ? "it is longer than 2048 characters" : "";
}

std::string check_redirect(string_view text) {
  const std::optional<Redirect> redirect = parse_redirect(text);
  if (!redirect) return "the status must be 301, 302, 303, 307 or 308";
  const string_view target = redirect->target;
  if (target.starts_with("//")) return "`//` leads to another host: write `https://` if that is meant";
  return target.starts_with('/') ? check_url_path(target) : check_url(target);
}

std::string check_listen(string_view text) {
  if (text.starts_with("unix:")) return "an address with a port; Unix sockets are not served";
  if (text.starts_with("localhost:")) return "an address, not a name: `127.0.0.1` or `[::1]`";
  if (text.starts_with("*:")) return "write two: `0.0.0.0` and `[::]`, each with the port";
  if (net::Ip::parse(text) && text.find('.') != string_view::npos) return "the port is missing";
  return net::Address::parse(text) ? "" : "write `127.0.0.1:8080` or `[::1]:8080`";
}

std::string check_loopback(string_view text) {
  std::string wrong = check_listen(text);
  if (!wrong.empty()) return wrong;
  return net::Address::parse(text)->peer().ip.is_loopback()
             ? ""
             : "metrics are for this machine only: `127.0.0.1:9180`";
}

bool is_nobody(const net::Ip& ip) {
  const bool multicast = ip.is_v4() ? (ip.bytes[12] & 0xf0) == 0xe0 : ip.bytes[0] == 0xff;
  const bool unspecified = ip == *net::Ip::parse("::") || (ip.is_v4() && ip.bytes[12] == 0);
  return multicast || unspecified || ip == *net::Ip::parse("255.255.255.255");
}

std::string check_address(string_view text) {
  const Result<net::Ip> ip = net::Ip::parse(text);
  if (!ip && text.find('/') != string_view::npos) return "one address, not a network";
  if (!ip && text.find_first_of("[]") == string_view::npos && net::Address::parse(text))
    return "without a port";
  if (!ip) return "write `203.0.113.7` or `2001:db8::7`";
  return is_nobody(*ip) ? "no machine has this address" : "";
}

std::string check_network(string_view text) {
  const Result<net::Network> network = net::Network::parse(text);
  if (!network) return "write `10.0.0.0/8`, `2001:db8::/32` or one address";
  for (int bit = network->prefix; bit < 128; ++bit) {
    const int byte = network->ip.bytes[static_cast<size_t>(bit / 8)];
    if ((byte >> (7 - bit % 8) & 1) != 0)
      return "the address has bits beyond the prefix: is the prefix right?";
  }
  return {};
}

std::string check_header_name(string_view text) {
  constexpr std::array<string_view, 11> kOurs{"connection", "content-length",   "transfer-encoding", "date",
                                              "keep-alive", "upgrade",          "trailer",           "te",
                                              "host",       "content-encoding", "content-range"};
  if (text.empty() || text.size() > 256) return "between 1 and 256 characters";
  if (!all_of(text, is_token_character)) return "letters, digits and `-`";
  if (std::ranges::find(kOurs, lower(text)) != kOurs.end()) return "Terrace itself writes this header";
  return {};
}

std::string check_header_value(string_view text) {
  if (text.size() > 4096) return "it is longer than 4096 bytes";
  if (std::ranges::any_of(text, [](char c) { return is_control(c) && c != '\t'; }))
    return "it must not hold line ends or control characters";
  if (text.starts_with(' ') || text.ends_with(' ') || text.starts_with('\t') || text.ends_with('\t'))
    return "it must not begin or end with a blank";
  return {};
}

std::string check_file_name(string_view text) {
  if (text.empty() || text.size() > 255) return "between 1 and 255 bytes";
  if (text.find('/') != string_view::npos) return "a name, not a path";
  if (text.starts_with('.')) return "hidden files are never served";
  if (std::ranges::any_of(text, is_control)) return "it holds a control character";
  return {};
}

std::string check_file_path(string_view text) {
  if (text.starts_with('/')) return "without `/` in front: it is looked for in `web.files`";
  if (text == ".." || text.starts_with("../") || text.find("/../") != string_view::npos)
    return "it must not leave `web.files`";
  while (true) {
    const size_t slash = text.find('/');
    std::string wrong = check_file_name(text.substr(0, slash));
    if (!wrong.empty() || slash == string_view::npos) return wrong;
    text.remove_prefix(slash + 1);
  }
}

std::string check_error_status(string_view text) {
  const bool fits = text.size() == 3 && (text[0] == '4' || text[0] == '5') && all_of(text, is_digit);
  return fits ? "" : "write `404` or `503`";
}

std::string check_database_url(string_view text) {
  const auto url = parse_database_url(text);
  return url ? "" : std::string(url.error());
}

std::string check_url_style(string_view text) {
  const std::array<std::string, 3> words{"plain", "rails", "sqlalchemy"};
  if (std::ranges::find(words, text) != words.end()) return {};
  if (text.find_first_of("{}") == string_view::npos) {
    const auto meant = config::suggest(std::string(text), words);
    return meant ? "did you mean `" + *meant + "`?"
                 : "`plain`, `rails`, `sqlalchemy`, or a template such as "
                   "`postgresql://{user}:{password}@{host}/{name}`";
  }
  if (text.size() > 1024) return "it is longer than 1024 characters";
  if (!all_of(text, is_visible)) return "visible ASCII only";
  return placeholders(text) ? "" : "braces hold one of `host`, `port`, `name`, `user`, `password`, `path`";
}

std::string check_package_name(string_view text) {
  if (text.size() < 2 || text.size() > 128) return "between 2 and 128 characters";
  const auto fits = [](char c) {
    return (c >= 'a' && c <= 'z') || is_digit(c) || c == '+' || c == '-' || c == '.';
  };
  if (!std::ranges::all_of(text, fits)) return "lower-case letters, digits, `+`, `-` and `.` only";
  return text[0] == '+' || text[0] == '-' || text[0] == '.' ? "it must begin with a letter or a digit" : "";
}

std::string check_writable_path(string_view text) {
  if (text.empty()) return "it is empty";
  if (text.size() > 1024) return "it is longer than 1024 bytes";
  if (text.starts_with('/') || text.starts_with('~')) return "relative to the application's folder";
  if (std::ranges::any_of(text, is_control)) return "it holds a control character";
  if (text.ends_with('/')) return "without a `/` at its end";
  while (true) {
    const size_t slash = text.find('/');
    const string_view part = text.substr(0, slash);
    if (part.empty()) return "one `/` between two names";
    if (part == "..") return "it must not leave the application's folder";
    if (part == ".") return "a name below the application's folder, without `.`";
    if (slash == string_view::npos) return {};
    text.remove_prefix(slash + 1);
  }
}

std::string check_backup_time(string_view text) {
  for (const char* word : {"off", "hourly", "daily"}) {
    if (text == word) return {};
  }
  return parse_time_of_day(text) ? "" : "write `off`, `hourly`, `daily`, or a time in UTC such as `03:30`";
}

std::string check_host_pattern(string_view text) {
  if (text.starts_with("*.")) text.remove_prefix(2);
  if (text.find('*') != string_view::npos) return "`*` stands for the first part only: `*.example.com`";
  return check_domain(text);
}

std::string check_backend(string_view text) {
  if (text.starts_with("https://")) return "without `https://`: backends are asked without encryption";
  if (text.starts_with("http://")) return "without `http://`";
  if (text.find('/') != string_view::npos && !text.starts_with("unix:")) return "without a path";
  const size_t colon = text.rfind(':');
  const string_view host = text.substr(0, colon);
  const bool name = !host.empty() && host.find_first_of(":[]") == string_view::npos &&
                    std::ranges::any_of(host, is_letter) && host != "localhost" && host != "unix";
  if (name) return "an address, not a name: names are not looked up";
  std::string wrong = check_listen(text);
  if (!wrong.empty()) return wrong;
  const net::Address address = *net::Address::parse(text);
  if (address.port() == 0) return "port 0 is none";
  return is_nobody(address.peer().ip) ? "no machine has this address" : "";
}

std::string check_hash_source(string_view text) {
  const std::optional<HashSource> source = parse_hash_source(text);
  if (!source) return "write `header:X-User` or `cookie:session`";
  return source->name.size() <= 256 && all_of(source->name, is_token_character)
             ? ""
             : "no header or cookie has this name";
}

std::string check_check_target(string_view text) {
  if (text == "tcp") return {};
  return text.starts_with('/') ? check_url_path(text) : "write a path, or `tcp`";
}

std::string check_status_range(string_view text) {
  return parse_status_range(text) ? "" : "write `200`, or `200-399`";
}

std::string check_page(string_view text) {
  constexpr size_t kPageBytesMax = 64 << 10;
  const bool one_word = !text.empty() && text.find_first_of("< \t\n") == string_view::npos;
  if (one_word && (text.ends_with(".html") || text.ends_with(".htm") || text.starts_with('/')))
    return "this names a file: write `\"${file:" + std::string(text) + "}\"` for what is in it";
  return text.size() <= kPageBytesMax ? "" : "it may have 64 KiB at most";
}

}  // namespace

std::optional<StatusRange> parse_status_range(string_view text) {
  const auto status = [](string_view digits) {
    return digits.size() == 3 && all_of(digits, is_digit) && digits[0] != '0' ? std::stoi(std::string(digits))
                                                                              : 0;
  };
  const size_t dash = text.find('-');
  const StatusRange range{.first = status(text.substr(0, dash)),
                          .last = status(dash == string_view::npos ? text : text.substr(dash + 1))};
  constexpr int kLast = 599;
  if (range.first == 0 || range.last < range.first || range.last > kLast) return std::nullopt;
  return range;
}

std::optional<HashSource> parse_hash_source(string_view text) {
  for (const string_view kind : {"header:", "cookie:"}) {
    if (text.starts_with(kind) && text.size() > kind.size())
      return HashSource{.cookie = kind == "cookie:", .name = text.substr(kind.size())};
  }
  return std::nullopt;
}

std::optional<std::vector<string_view>> placeholders(string_view url_template) {
  constexpr std::array<string_view, 6> kKnown{"host", "port", "name", "user", "password", "path"};
  std::vector<string_view> found;
  while (true) {
    const size_t open = url_template.find_first_of("{}");
    if (open == string_view::npos) return found;
    const size_t close = url_template.find('}', open);
    if (url_template[open] != '{' || close == string_view::npos) return std::nullopt;
    found.push_back(url_template.substr(open + 1, close - open - 1));
    if (std::ranges::find(kKnown, found.back()) == kKnown.end()) return std::nullopt;
    url_template.remove_prefix(close + 1);
  }
}

std::optional<std::chrono::minutes> parse_time_of_day(string_view text) {
  if (text.size() != 5 || text[2] != ':') return std::nullopt;
  for (const size_t at : {0, 1, 3, 4}) {
    if (!is_digit(text[at])) return std::nullopt;
  }
  const int hours = (text[0] - '0') * 10 + (text[1] - '0');
  const int minutes = (text[3] - '0') * 10 + (text[4] - '0');
  if (hours > 23 || minutes > 59) return std::nullopt;
  return std::chrono::hours(hours) + std::chrono::minutes(minutes);
}

std::optional<Redirect> parse_redirect(string_view value) {
  if (value.size() < 4 || value[3] != ' ' || !all_of(value.substr(0, 3), is_digit))
    return Redirect{.target = value};
  const string_view target = value.substr(std::min(value.size(), value.find_first_not_of(' ', 3)));
  for (const int status : {301, 302, 303, 307, 308}) {
    if (value.starts_with(std::to_string(status))) return Redirect{status, target};
  }
  return std::nullopt;
}

config::Form site_name() { return {"a plain name", check_name}; }
config::Form server_name() { return {"a plain name", check_name}; }
config::Form domain_name() { return {"a DNS name such as \"shop.example.com\"", check_domain}; }
config::Form command() { return {"a command", check_command}; }
config::Form path() { return {"a path", check_path}; }
config::Form user_name() { return {"the name of a user", check_user}; }
config::Form variable() { return {"the name of a variable", check_variable}; }
config::Form variable_text() { return {"a text", check_nothing}; }
config::Form page() { return {"the text of a page", check_page}; }
config::Form url_path() { return {"a path such as \"/up\"", check_url_path}; }
config::Form url_pattern() { return {"a path pattern such as \"/assets/*\"", check_url_pattern}; }
config::Form redirected() { return {"a path pattern such as \"/old/*\"", check_redirected}; }
config::Form redirect() { return {"a path or a URL", check_redirect}; }
config::Form listen() { return {"an address with a port", check_listen}; }
config::Form loopback() { return {"a loopback address with a port", check_loopback}; }
config::Form address() { return {"an IP address", check_address}; }
config::Form network() { return {"a network in CIDR form", check_network}; }
config::Form header_name() { return {"the name of a header", check_header_name}; }
config::Form header_value() { return {"the value of a header", check_header_value}; }
config::Form file_name() { return {"the name of a file", check_file_name}; }
config::Form file_path() { return {"the path of a file in `web.files`", check_file_path}; }
config::Form error_status() { return {"a status from 400 to 599", check_error_status}; }
config::Form url_style() { return {"the form of a database URL", check_url_style}; }
config::Form package_name() { return {"the name of a Debian package", check_package_name}; }
config::Form writable_path() { return {"a path in `app.folder`", check_writable_path}; }
config::Form backup_time() { return {"a time for backups", check_backup_time}; }
config::Form database_url() { return {"a URL", check_database_url}; }
config::Form host_pattern() { return {"a DNS name, or `*.` and one", check_host_pattern}; }
config::Form backend() { return {"an address with a port", check_backend}; }
config::Form hash_source() { return {"`header:` or `cookie:` and a name", check_hash_source}; }
config::Form check_target() { return {"a path, or \"tcp\"", check_check_target}; }
config::Form status_range() { return {"a status, or a range such as \"200-399\"", check_status_range}; }

}  // namespace terrace::topology
