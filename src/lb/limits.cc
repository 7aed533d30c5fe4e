#include "lb/limits.h"

#include <algorithm>
#include <bit>
#include <chrono>
#include <cstring>

#include "base/assert.h"
#include "base/hash.h"

namespace terrace::lb {
namespace {

int64_t nanoseconds(Time time) { return Duration(time.time_since_epoch()).count(); }

}  // namespace

// The half of the mapped form that holds an IPv4 address begins with zeros, as no global
// /64 does: the two cannot meet.
uint64_t client_key(const net::Ip& client) {
  constexpr size_t kHalf = 8;
  uint64_t key = 0;
  std::memcpy(&key, client.bytes.data() + (client.is_v4() ? kHalf : 0), kHalf);
  return key;
}

ClientLimits::ClientLimits(const ClientLimitOptions& options, uint64_t hash_key)
    : options_(options),
      hash_key_(hash_key),
      rows_(options.clients_max / kRow),
      clients_(std::make_unique<Client[]>(options.clients_max)) {
  ASSERT(std::has_single_bit(options.clients_max) && options.clients_max >= kRow);
}

void ClientLimits::set_options(const ClientLimitOptions& options) { options_ = options; }

// The client's place, or the one of whoever has been quiet longest.
ClientLimits::Client* ClientLimits::find(uint64_t key, Time now) {
  const uint64_t hash = hash64({reinterpret_cast<const char*>(&key), sizeof key}, hash_key_);
  Client* const row = &clients_[(hash & (rows_ - 1)) * kRow];
  Client* quiet = nullptr;
  for (size_t i = 0; i < kRow; ++i) {
    Client& one = row[i];
    if (one.used && one.key == key) return &one;
    if (one.in_flight > 0) continue;
    if (quiet == nullptr || (quiet->used && (!one.used || one.next < quiet->next))) quiet = &one;
  }
  if (quiet != nullptr) *quiet = {.key = key, .next = nanoseconds(now), .used = true};
  return quiet;
}

ClientLimits::Admission ClientLimits::admit(const net::Ip& ip, Time now) {
  if (options_.per_second <= 0 && options_.at_once == 0) return {};
  Client* const client = find(client_key(ip), now);
  if (client == nullptr) {
    unlimited_.add();
    return {};
  }
  if (options_.at_once > 0 && client->in_flight >= options_.at_once) return {.answer = Answer::kTooMany};
  if (options_.per_second > 0) {
    constexpr double kSecond = 1e9;
    const auto interval = static_cast<int64_t>(kSecond / options_.per_second);
    const int64_t early = interval * (std::max(options_.burst, 1U) - 1);
    const int64_t due = std::max(client->next, nanoseconds(now));
    if (due - nanoseconds(now) > early) {
      return {.answer = Answer::kTooFast, .retry_after = Duration(due - early - nanoseconds(now))};
    }
    client->next = due + interval;
  }
  ++client->in_flight;
  return {.slot = static_cast<Slot>(client - clients_.get())};
}

void ClientLimits::leave(Slot slot) {
  if (slot == kNoSlot) return;
  ASSERT(clients_[slot].in_flight > 0);
  --clients_[slot].in_flight;
}

}  // namespace terrace::lb
