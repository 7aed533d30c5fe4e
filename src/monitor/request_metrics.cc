#include "monitor/request_metrics.h"

#include <numeric>

namespace terrace::monitor {
namespace {

template <size_t N>
void add_each(std::array<uint64_t, N>& totals, const std::array<Counter, N>& counters) {
  for (size_t i = 0; i < N; ++i) totals[i] += counters[i].get();
}

}  // namespace

void HistogramTotals::add(const Histogram& histogram) {
  for (int i = 0; i < Histogram::kBuckets; ++i) buckets[static_cast<size_t>(i)] += histogram.bucket(i);
  sum_nanoseconds += histogram.sum_nanoseconds();
}

void HistogramTotals::add(const HistogramTotals& totals) {
  for (size_t i = 0; i < buckets.size(); ++i) buckets[i] += totals.buckets[i];
  sum_nanoseconds += totals.sum_nanoseconds;
}

uint64_t HistogramTotals::count() const {
  return std::accumulate(buckets.begin(), buckets.end(), uint64_t{0});
}

void RequestTotals::add(const RequestMetrics& core) {
  for (size_t i = 0; i < kCodeClasses; ++i) add_each(requests[i], core.requests[i]);
  add_each(heads_refused, core.heads_refused);
  duration.add(core.duration);
  in_flight += core.in_flight.get();
  connections += core.connections.get();
  connections_accepted += core.connections_accepted.get();
  connections_refused += core.connections_refused.get();
  handshakes_crowded_out += core.handshakes_crowded_out.get();
  bytes_received += core.bytes_received.get();
  bytes_sent += core.bytes_sent.get();
  tunnels += core.tunnels.get();
  queue_length += core.queue_length.get();
  queue_timeouts += core.queue_timeouts.get();
  queue_overflows += core.queue_overflows.get();
  retries += core.retries.get();
  backend_retries += core.backend_retries.get();
  backend_failures += core.backend_failures.get();
  clients_limited += core.clients_limited.get();
  clients_unlimited += core.clients_unlimited.get();
  static_cache_hits += core.static_cache_hits.get();
  static_cache_misses += core.static_cache_misses.get();
  static_cache_evictions += core.static_cache_evictions.get();
  static_loads_refused += core.static_loads_refused.get();
  static_compressions += core.static_compressions.get();
  static_cache_entries += core.static_cache_entries.get();
  static_cache_bytes += core.static_cache_bytes.get();
  allocations += core.allocations.get();
}

uint64_t RequestTotals::requests_count() const {
  uint64_t count = 0;
  for (const auto& by_class : requests) count = std::accumulate(by_class.begin(), by_class.end(), count);
  return count;
}

uint64_t RequestTotals::errors_count() const {
  return std::accumulate(requests[5].begin(), requests[5].end(), uint64_t{0});
}

RequestTotals sum(std::span<const RequestMetrics* const> cores) {
  RequestTotals totals;
  for (const RequestMetrics* core : cores) totals.add(*core);
  return totals;
}

}  // namespace terrace::monitor
