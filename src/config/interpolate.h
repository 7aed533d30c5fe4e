#pragma once

#include <expected>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace terrace::config {

// The world outside of the file; a test passes its own.
struct Inputs {
  // The variable of the environment, if it is set.
  std::function<std::optional<std::string>(const std::string& name)> environment;
  // A regular file, whole, of at most kInterpolatedBytesMax bytes. The path is absolute.
  std::function<Result<std::string>(const std::string& path)> file;
};

// The process's own environment and file system.
Inputs real_inputs();

constexpr size_t kInterpolatedBytesMax = 64 << 10;

struct Interpolated {
  std::string text;
  bool used = false;  // `${…}` occurred: the text is never shown
};

struct InterpolationError {
  std::string code;     // E017 for what a later release brings, else E018
  std::string message;  // names the variable or the path, never a content
  std::string label;
};

bool has_interpolation(std::string_view text);

// Replaces `${env:NAME}` and `${file:path}` (relative to `folder`; one line end at
// its end is dropped). `$${` stands for `${` itself. What is put in is not looked
// at again.
std::expected<Interpolated, InterpolationError> interpolate(std::string_view text, const std::string& folder,
                                                            const Inputs& inputs);

}  // namespace terrace::config
