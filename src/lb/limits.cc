#include "lb/limits.h"

#include <algorithm>
#include <cstring>

namespace terrace::lb {
namespace {

ClientRates rates_of(const ClientLimitOptions& options) {
  constexpr double kSecond = 1e9;
  ClientRates rates{.at_once = std::min(options.at_once, ClientTable::kInFlightMax)};
  if (options.per_second <= 0) return rates;
  rates.interval = std::max<int64_t>(static_cast<int64_t>(kSecond / options.per_second), 1);
  rates.early = rates.interval * (std::max(options.burst, 1U) - 1);
  return rates;
}

}  // namespace

// The half of the mapped form that holds an IPv4 address begins with zeros, as no global
// /64 does: the two cannot meet.
uint64_t client_key(const net::Ip& client) {
  constexpr size_t kHalf = 8;
  uint64_t key = 0;
  std::memcpy(&key, client.bytes.data() + (client.is_v4() ? kHalf : 0), kHalf);
  return key;
}

void ClientLimits::set_options(const ClientLimitOptions& options, Time now) {
  const ClientRates rates = rates_of(options);
  if (rates == rates_) return;
  rates_ = rates;
  table_.shorten(rates, now);
}

ClientLimits::Admission ClientLimits::admit(const net::Ip& client, Time now) {
  if (!rates_.any()) return {};
  const Admission admission = table_.admit(rates_, client_key(client), now);
  if (admission.answer == Answer::kYes && admission.slot == kNoSlot) unlimited_.add();
  return admission;
}

}  // namespace terrace::lb
