#include "config/interpolate.h"

#include <fmt/format.h>
#include <sys/stat.h>

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

// `inside` stands between `${` and `}`.
Text value_of(std::string_view inside, const std::string& folder, const Inputs& inputs) {
  const size_t colon = inside.find(':');
  const std::string source(inside.substr(0, colon));
  const std::string name(colon == std::string_view::npos ? "" : inside.substr(colon + 1));
  if (source == "secret")
    return std::unexpected(InterpolationError{"E017", "`${secret:…}` comes with a later release",
                                              "until then: `${env:NAME}` or `${file:path}`"});
  if (source != "env" && source != "file") {
    const std::array<std::string, 2> known{"env", "file"};
    const auto meant = suggest(source, known);
    return refuse("`${…}` names a source that is not known",
                  meant ? fmt::format("did you mean `${{{}:…}}`?", *meant)
                        : "write `${env:NAME}` or `${file:path}`; `$${` stands for `${` itself");
  }
  if (name.empty())
    return refuse(fmt::format("`${{{}:}}` names nothing", source), "a name follows the colon");
  return source == "env" ? from_environment(name, inputs) : from_file(name, folder, inputs);
}

}  // namespace

Inputs real_inputs() {
  return {.environment = [](const std::string& name) -> std::optional<std::string> {
            const char* value = ::getenv(name.c_str());
            if (value == nullptr) return std::nullopt;
            return std::string(value);
          },
          .file = read_regular_file};
}

bool has_interpolation(std::string_view text) { return text.find("${") != std::string_view::npos; }

std::expected<Interpolated, InterpolationError> interpolate(std::string_view text, const std::string& folder,
                                                            const Inputs& inputs) {
  Interpolated result;
  while (!text.empty()) {
    const size_t dollar = text.find('$');
    result.text += text.substr(0, dollar);
    if (dollar == std::string_view::npos) break;
    text.remove_prefix(dollar);
    if (text.starts_with("$${")) {
      result.text += "${";
      text.remove_prefix(3);
      continue;
    }
    if (!text.starts_with("${")) {
      result.text += '$';
      text.remove_prefix(1);
      continue;
    }
    const size_t end = text.find('}');
    if (end == std::string_view::npos)
      return refuse("`${` is never closed", "a `}` is missing; `$${` stands for `${` itself");
    Text value = value_of(text.substr(2, end - 2), folder, inputs);
    if (!value) return std::unexpected(std::move(value.error()));
    result.text += *value;
    result.used = true;
    if (result.text.size() > kInterpolatedBytesMax)
      return refuse("the value is too long", fmt::format("at most {} bytes", kInterpolatedBytesMax));
    text.remove_prefix(end + 1);
  }
  return result;
}

}  // namespace terrace::config
