#pragma once

#include <expected>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace terrace::config {

// The world outside of the file; a test passes its own.
struct Inputs {
  // The variable of the environment, if it is set.
  std::function<std::optional<std::string>(const std::string& name)> environment;
  // A regular file, whole, of at most kInterpolatedBytesMax bytes. The path is absolute.
  std::function<Result<std::string>(const std::string& path)> file;
  // What `terrace secret set` was given. kNotFound: there is none of that name;
  // kUnavailable: whoever asks may not look, so nobody knows.
  std::function<Result<std::string>(const std::string& name)> secret;
};

// The process's own environment and file system; no secret can be looked at.
Inputs real_inputs();

// 1 to 64 letters, digits and `_`, no digit first.
bool is_secret_name(std::string_view name);
constexpr size_t kSecretNameBytesMax = 64;

constexpr size_t kInterpolatedBytesMax = 64 << 10;

struct Interpolated {
  std::string text;
  bool used = false;  // `${…}` occurred: the text is never shown
};

struct InterpolationError {
  std::string code;     // E018; W002: the text stays as it is, and that is all to be said
  std::string message;  // names the variable or the path, never a content
  std::string label;
  std::vector<std::string> notes = {};
};

// Where the text stands.
struct InterpolatedPlace {
  std::string folder;    // that `${file:…}` is relative to
  bool secrets = false;  // what stands here is never shown to anyone: `${secret:…}` may, too
  // The text is a URL: what is put in for the user, the password or a part of the
  // query is percent-encoded (RFC 3986 section 2.1), so that any character may be in it.
  bool url = false;
};

bool has_interpolation(std::string_view text);

// Replaces `${env:NAME}`, `${secret:NAME}` and `${file:path}` (one line end at the end
// of the file is dropped). `$${` stands for `${` itself. What is put in is not looked
// at again.
std::expected<Interpolated, InterpolationError> interpolate(std::string_view text,
                                                            const InterpolatedPlace& place,
                                                            const Inputs& inputs);

// All bytes but the unreserved ones of RFC 3986 section 2.3 as %XX; those of `kept` stay.
std::string percent_encode(std::string_view text, std::string_view kept = {});

}  // namespace terrace::config
