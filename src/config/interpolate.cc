#include "config/interpolate.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "base/file.h"
#include "config/suggest.h"

namespace terrace::config {
namespace {

using Text = std::expected<std::string, InterpolationError>;

std::unexpected<InterpolationError> refuse(std::string message, std::string label) {
  return std::unexpected(InterpolationError{"E018", std::move(message), std::move(label)});
}

Result<std::string> read_regular_file(const std::string& path) {
  struct stat about{};
  if (::stat(path.c_str(), &about) != 0) return fail_system("stat");
  if (!S_ISREG(about.st_mode)) return fail(Code::kInvalid, "open", "not a regular file");
  return read_file(path, kInterpolatedBytesMax);
}

Text from_environment(const std::string& name, const Inputs& inputs) {
  const auto value = inputs.environment(name);
  if (value) return *value;
  return refuse(fmt::format("the environment variable `{}` is not set", name),
                "set it before terrace starts");
}

Text from_file(const std::string& path, const std::string& folder, const Inputs& inputs) {
  if (path.find('\0') != std::string::npos) return refuse("a path cannot hold a zero byte", "");
  const std::string absolute = path.starts_with('/') ? path : folder + "/" + path;
  Result<std::string> content = inputs.file(absolute);
  if (!content) {
    const char* reason = content.error().system != 0 ? ::strerrordesc_np(content.error().system) : nullptr;
    return refuse(fmt::format("the file `{}` cannot be read", path),
                  reason != nullptr ? reason : content.error().text);
  }
  if (content->ends_with('\n')) content->pop_back();
  if (content->ends_with('\r')) content->pop_back();
  return *std::move(content);
}

Text from_secret(const std::string& name, const Inputs& inputs) {
  if (!is_secret_name(name))
    return refuse("this is not the name of a secret", "letters, digits and `_`, at most 64");
  Result<std::string> value = inputs.secret(name);
  if (value) return *std::move(value);
  const Error& error = value.error();
  if (error.code == Code::kNotFound)
    return refuse(fmt::format("the secret `{}` is not set", name),
                  fmt::format("set it: `terrace secret set {}`", name));
  if (error.code == Code::kUnavailable)
    return std::unexpected(InterpolationError{
        .code = "W002",
        .message = fmt::format("whether the secret `{}` is set cannot be seen", name),
        .label = "only the user that runs the site may look",
        .notes = {"fix: check again as that user, as root perhaps: `sudo terrace check`"}});
  return refuse(fmt::format("the secret `{}` cannot be read", name),
                error.system != 0 ? ::strerrordesc_np(error.system) : error.text);
}

// `inside` stands between `${` and `}`.
Text value_of(std::string_view inside, const InterpolatedPlace& place, const Inputs& inputs) {
  const size_t colon = inside.find(':');
  const std::string source(inside.substr(0, colon));
  const std::string name(colon == std::string_view::npos ? "" : inside.substr(colon + 1));
  const std::array<std::string, 3> known{"env", "secret", "file"};
  if (std::ranges::find(known, source) == known.end()) {
    const auto meant = suggest(source, known);
    return refuse(
        "`${…}` names a source that is not known",
        meant ? fmt::format("did you mean `${{{}:…}}`?", *meant)
              : "write `${env:NAME}`, `${secret:NAME}` or `${file:path}`; `$${` stands for `${` itself");
  }
  if (source == "secret" && !place.secrets)
    return refuse("`${secret:…}` cannot stand here: this value is shown, or passed on",
                  "secrets are for `app.env` and `db.url`");
  if (name.empty())
    return refuse(fmt::format("`${{{}:}}` names nothing", source), "a name follows the colon");
  if (source == "secret") return from_secret(name, inputs);
  return source == "env" ? from_environment(name, inputs) : from_file(name, place.folder, inputs);
}

// The text with every `${…}` as blanks, to look at what is written around them.
std::string without_references(std::string_view text) {
  std::string out(text);
  for (size_t at = text.find("${"); at != std::string_view::npos; at = text.find("${", at + 2)) {
    const size_t end = std::min(text.find('}', at), text.size() - 1);
    std::fill(out.begin() + static_cast<ptrdiff_t>(at), out.begin() + static_cast<ptrdiff_t>(end) + 1, ' ');
  }
  return out;
}

// The places of a URL at which what is put in is encoded.
struct EncodedParts {
  size_t user_begin = std::string_view::npos;
  size_t user_end = std::string_view::npos;
  size_t query = std::string_view::npos;

  explicit EncodedParts(std::string_view url) {
    const std::string text = without_references(url);
    const size_t colon = text.find("://");
    if (colon == std::string::npos) return;
    query = text.find('?', colon);
    const size_t at = text.rfind('@', text.find_first_of("/?", colon + 3));
    if (at == std::string::npos || at < colon) return;
    user_begin = colon + 3;
    user_end = at;
  }
  bool holds(size_t place) const {
    const bool user = user_end != std::string_view::npos && place >= user_begin && place < user_end;
    return user || (query != std::string_view::npos && place > query);
  }
};

}  // namespace

Inputs real_inputs() {
  return {.environment = [](const std::string& name) -> std::optional<std::string> {
            const char* value = ::getenv(name.c_str());
            if (value == nullptr) return std::nullopt;
            return std::string(value);
          },
          .file = read_regular_file,
          .secret = [](const std::string&) -> Result<std::string> {
            return fail(Code::kUnavailable, "secret", "no secret can be looked at");
          }};
}

bool is_secret_name(std::string_view name) {
  const auto fits = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
  };
  return !name.empty() && name.size() <= kSecretNameBytesMax && (name[0] < '0' || name[0] > '9') &&
         std::ranges::all_of(name, fits);
}

std::string percent_encode(std::string_view text, std::string_view kept) {
  constexpr std::string_view kUnreserved =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~";
  std::string out;
  for (const char c : text) {
    if (kUnreserved.find(c) != std::string_view::npos || kept.find(c) != std::string_view::npos)
      out += c;
    else
      out += fmt::format("%{:02X}", static_cast<unsigned char>(c));
  }
  return out;
}

bool has_interpolation(std::string_view text) { return text.find("${") != std::string_view::npos; }

std::expected<Interpolated, InterpolationError> interpolate(std::string_view text,
                                                            const InterpolatedPlace& place,
                                                            const Inputs& inputs) {
  Interpolated result;
  const EncodedParts encoded(place.url ? text : "");
  size_t at = 0;
  while (at < text.size()) {
    const size_t dollar = std::min(text.find('$', at), text.size());
    result.text += text.substr(at, dollar - at);
    at = dollar;
    const std::string_view rest = text.substr(at);
    if (rest.starts_with("$${")) {
      result.text += "${";
      at += 3;
      continue;
    }
    if (!rest.starts_with("${")) {
      result.text += rest.substr(0, 1);
      at += 1;
      continue;
    }
    const size_t end = rest.find('}');
    if (end == std::string_view::npos)
      return refuse("`${` is never closed", "a `}` is missing; `$${` stands for `${` itself");
    Text value = value_of(rest.substr(2, end - 2), place, inputs);
    if (!value) return std::unexpected(std::move(value.error()));
    result.text += encoded.holds(at) ? percent_encode(*value) : *value;
    result.used = true;
    if (result.text.size() > kInterpolatedBytesMax)
      return refuse("the value is too long", fmt::format("at most {} bytes", kInterpolatedBytesMax));
    at += end + 1;
  }
  return result;
}

}  // namespace terrace::config
