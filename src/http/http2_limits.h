#pragma once

#include <cstddef>
#include <cstdint>

#include "base/clock.h"
#include "http/parser.h"

namespace terrace::http {

// What one HTTP/2 connection (RFC 9113) may hold and how long it may take, the same
// for both sides. The defaults are for strangers; between_our_servers() for the hop.
//
// Memory of a connection at its worst, in bytes: 2 * streams_max heads of Buffer::kBytes,
// and of bodies bodies_bytes_max + connection_window (each stream's last piece in a
// buffer of its own).
struct Http2Limits {
  // head_max counts decoded fields as SETTINGS_MAX_HEADER_LIST_SIZE does (RFC 9113
  // section 6.5.2): name, value and 32 more for each, every cookie crumb included.
  HeadLimits head;
  int streams_max = 100;           // open at a time; of a server run twice as many exchanges at most
  uint32_t stream_window = 65535;  // bytes of a body that wait for who takes them; at most kStreamWindowMax
  uint32_t connection_window = 1 << 20;  // bytes on their way, of all streams
  size_t bodies_bytes_max = 1 << 20;     // waiting in all streams; above, a slow one does hold the others up
  uint32_t header_table_bytes = 4096;    // of HPACK (RFC 7541), each way
  Duration head_timeout = std::chrono::seconds(10);  // for the preface, and for a head from its first frame
  Duration idle_timeout = std::chrono::seconds(75);  // without a stream; zero: for ever
  Duration progress_max = std::chrono::seconds(30);  // the longest time in which the peer reads nothing
  // A connection on which nothing came for so long is asked for a sign of life (PING,
  // RFC 9113 section 6.7) and given up when none came in time. Zero: never asked.
  Duration ping_interval{};
  Duration ping_timeout = std::chrono::seconds(5);
  // Events that cost us more than the peer, or that no ordinary peer causes (see
  // http2_session.h): so many at once, and so many more in each second.
  int oddities_max = 200;
  int oddities_per_second = 20;

  static constexpr uint32_t kStreamWindowMax = 240 * 1024;

  // The peer is a server of this site, and its streams come from many clients: one of
  // them must not be able to have the connection of all given up.
  static Http2Limits between_our_servers() {
    Http2Limits limits;
    // What the load balancer let in from HTTP/1, where 32 bytes are not counted for each
    // field, and what it adds.
    limits.head.head_max += size_t{32} * Fields::kCapacity + 1024;
    limits.head.fields_max = Fields::kCapacity;
    limits.streams_max = 512;
    limits.stream_window = 128 * 1024;
    limits.connection_window = 8 << 20;
    limits.bodies_bytes_max = size_t{512} * 128 * 1024;
    limits.header_table_bytes = 16384;
    limits.idle_timeout = {};
    limits.ping_interval = std::chrono::seconds(1);
    limits.ping_timeout = std::chrono::seconds(2);
    limits.oddities_max = 20'000;
    limits.oddities_per_second = 5'000;
    return limits;
  }
};

// A budget that fills up again with time: a token bucket.
class OddityBudget {
 public:
  // False once more was spent than the limits allow.
  bool spend(int oddities, Time now, const Http2Limits& limits) {
    const double seconds = std::chrono::duration<double>(now - since_).count();
    since_ = now;
    spent_ -= seconds * limits.oddities_per_second;
    if (spent_ < 0) spent_ = 0;
    spent_ += oddities;
    return spent_ <= limits.oddities_max;
  }

 private:
  double spent_ = 0;
  Time since_;
};

}  // namespace terrace::http
