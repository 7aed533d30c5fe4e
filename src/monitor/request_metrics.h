#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "base/clock.h"
#include "base/metrics.h"
#include "monitor/served_from.h"

// What the worker counts about requests. Each core owns one RequestMetrics and is
// the only one that writes to it; any thread sums them up for /metrics and
// `terrace status`. What is counted per instance of the app comes as InstanceTotals.

namespace terrace::monitor {

// 1xx to 5xx; index 0 is everything else.
inline constexpr size_t kCodeClasses = 6;
constexpr size_t code_class(int status) {
  return status >= 100 && status < 600 ? static_cast<size_t>(status / 100) : 0;
}

// The statuses with which a head is refused before it becomes a request; the
// last place counts every other one.
inline constexpr std::array<int, 12> kRefusedStatuses = {400, 405, 408, 411, 413, 414,
                                                         417, 421, 426, 431, 501, 505};
inline constexpr size_t kRefusedPlaces = kRefusedStatuses.size() + 1;
constexpr size_t refused_place(int status) {
  size_t i = 0;
  while (i < kRefusedStatuses.size() && kRefusedStatuses[i] != status) ++i;
  return i;
}

// One finished request, as far as counting goes.
struct Finished {
  int status = 0;
  ServedFrom served_from = ServedFrom::kError;
  Duration duration{};
};

// One core's.
struct RequestMetrics {
  std::array<std::array<Counter, kServedFromCount>, kCodeClasses> requests;  // [code class][served from]
  Histogram duration;  // of every finished request; tunnels are not in it
  Gauge in_flight;     // head complete, response not
  Gauge connections;   // open, from clients
  Counter connections_accepted;
  Counter connections_refused;                        // closed at once: connections_max reached
  Counter handshakes_crowded_out;                     // among them, of the hop: too many had not ended
  Counter bytes_received;                             // of bodies, from clients
  Counter bytes_sent;                                 // of bodies, towards clients
  std::array<Counter, kRefusedPlaces> heads_refused;  // by refused_place()
  Gauge tunnels;                                      // open upgraded connections (WebSocket)
  Gauge queue_length;                                 // requests that wait for an instance
  Counter queue_timeouts;                             // waited for the limit, answered 503
  Counter queue_overflows;                            // answered 503 at once: the queue was full
  Counter retries;                                    // sent once more: a failed connect, a dead instance
  Counter backend_retries;                            // of a load balancer: sent to a second backend
  Counter backend_failures;                           // … answered 502 or 504: no backend gave an answer
  Counter clients_limited;                            // … answered 429
  Counter clients_unlimited;                          // … let through: too many clients to count this one
  Counter static_cache_hits;                          // file metadata found in the cache
  Counter static_cache_misses;
  Counter static_cache_evictions;  // taken out to make room
  Counter static_loads_refused;    // answered 503: too many files had to be read at once
  Counter static_compressions;     // files compressed on the fly, for the cache
  Gauge static_cache_entries;
  Gauge static_cache_bytes;  // content
  Counter allocations;       // of the pools, from the heap: constant in steady state

  void finished(const Finished& request) {
    requests[code_class(request.status)][static_cast<size_t>(request.served_from)].add();
    duration.observe(request.duration);
  }
  void refused(int status) { heads_refused[refused_place(status)].add(); }
};

// Sums over the cores, as plain values.
struct HistogramTotals {
  std::array<uint64_t, Histogram::kBuckets> buckets{};  // not cumulative
  uint64_t sum_nanoseconds = 0;

  void add(const Histogram& histogram);
  void add(const HistogramTotals& totals);
  uint64_t count() const;
};

struct RequestTotals {
  std::array<std::array<uint64_t, kServedFromCount>, kCodeClasses> requests{};
  HistogramTotals duration;
  int64_t in_flight = 0;
  int64_t connections = 0;
  uint64_t connections_accepted = 0;
  uint64_t connections_refused = 0;
  uint64_t handshakes_crowded_out = 0;
  uint64_t bytes_received = 0;
  uint64_t bytes_sent = 0;
  std::array<uint64_t, kRefusedPlaces> heads_refused{};
  int64_t tunnels = 0;
  int64_t queue_length = 0;
  uint64_t queue_timeouts = 0;
  uint64_t queue_overflows = 0;
  uint64_t retries = 0;
  uint64_t backend_retries = 0;
  uint64_t backend_failures = 0;
  uint64_t clients_limited = 0;
  uint64_t clients_unlimited = 0;
  uint64_t static_cache_hits = 0;
  uint64_t static_cache_misses = 0;
  uint64_t static_cache_evictions = 0;
  uint64_t static_loads_refused = 0;
  uint64_t static_compressions = 0;
  int64_t static_cache_entries = 0;
  int64_t static_cache_bytes = 0;
  uint64_t allocations = 0;

  void add(const RequestMetrics& core);
  uint64_t requests_count() const;
  // Answered with 5xx.
  uint64_t errors_count() const;
};

struct InstanceTotals {
  std::string name;  // "app-1"
  bool up = false;   // takes requests
  uint64_t restarts = 0;
  uint64_t requests = 0;     // responses that it began, and failures
  uint64_t errors = 0;       // its 5xx, broken and late responses, failed connects
  HistogramTotals duration;  // from the request's dispatch to the end of its response
  int64_t in_flight = 0;
};

RequestTotals sum(std::span<const RequestMetrics* const> cores);

}  // namespace terrace::monitor
