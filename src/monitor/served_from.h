#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace terrace::monitor {

// Which part of us made the response. The access log and the metrics use the
// same five words.
enum class ServedFrom : uint8_t {
  kStatic,    // a file, also its 304 and its ranges
  kApp,       // an instance of the app
  kRedirect,  // a rule of the site file, www to bare
  kError,     // our own page: refused, no instance, not found
  kBackend,   // behind a load balancer: another server
};

inline constexpr size_t kServedFromCount = 5;
inline constexpr std::array<std::string_view, kServedFromCount> kServedFromNames = {
    "static", "app", "redirect", "error", "backend"};

constexpr std::string_view name_of(ServedFrom from) { return kServedFromNames[static_cast<size_t>(from)]; }

}  // namespace terrace::monitor
