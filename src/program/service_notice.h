#pragma once

#include <string_view>

namespace terrace::program {

// sd_notify(3) without the library: one datagram to the socket in NOTIFY_SOCKET.
// Nothing when we are not a systemd unit.
void notify_service(std::string_view state);

}  // namespace terrace::program
