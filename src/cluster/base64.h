#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace terrace::cluster {

// Base64 with padding (RFC 4648 section 4), as etcd's JSON wants its bytes.
std::string to_base64(std::string_view bytes);
// None for anything but what to_base64() writes.
std::optional<std::string> from_base64(std::string_view text);

}  // namespace terrace::cluster
