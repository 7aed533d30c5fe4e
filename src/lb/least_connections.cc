#include "lb/least_connections.h"

namespace terrace::lb {
namespace {

// in_flight / weight of one against the other's, without a division.
int64_t compare(const Load& one, const Load& other) {
  return static_cast<int64_t>(one.in_flight) * other.weight -
         static_cast<int64_t>(other.in_flight) * one.weight;
}

}  // namespace

std::optional<size_t> LeastConnections::pick(std::span<const Load> loads, BackendSet open, const Key&, Time) {
  BackendSet equals;
  for (size_t i : open) {
    if (loads[i].weight == 0) continue;
    const int64_t against = equals.empty() ? 0 : compare(loads[i], loads[equals.front()]);
    if (against < 0) equals = {};
    if (against <= 0) equals.add(i);
  }
  return among_equals_.pick(loads, equals);
}

}  // namespace terrace::lb
