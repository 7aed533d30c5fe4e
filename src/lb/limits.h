#pragma once

#include <cstdint>

#include "base/clock.h"
#include "base/metrics.h"
#include "lb/client_table.h"
#include "net/address.h"

namespace terrace::lb {

// How many requests one client may send, per second and at once. A client is an IPv4
// address, or a /64 of IPv6: a single subscriber has that many addresses.
struct ClientLimitOptions {
  double per_second = 0;  // requests; zero: no limit
  uint32_t burst = 1;     // requests that may come at once
  uint32_t at_once = 0;   // requests in flight; zero: no limit
  bool any() const { return per_second > 0 || at_once > 0; }
};

// One core's way to the table that all cores of the worker count in (client_table.h): a
// client has its rate once, on however many cores its connections are. Each core takes the
// rates of a new site at its own turn. One thread.
class ClientLimits {
 public:
  using Answer = ClientTable::Answer;
  using Slot = ClientTable::Slot;
  using Admission = ClientTable::Admission;
  static constexpr Slot kNoSlot = ClientTable::kNoSlot;

  // Nobody is limited until set_options(). The table outlives it.
  explicit ClientLimits(ClientTable& table) : table_(table) {}
  // What is counted stays counted; who has asked too much waits no longer than the new rates say.
  void set_options(const ClientLimitOptions& options, Time now);

  Admission admit(const net::Ip& client, Time now);
  // On any core, and whatever the rates are by now.
  void leave(Slot slot) { table_.leave(slot); }

  // Requests that were let through because their row of the table was full. From any thread.
  const Counter& unlimited() const { return unlimited_; }

 private:
  ClientTable& table_;
  ClientRates rates_;
  Counter unlimited_;
};

// What limits and ip-hash take for one client: the address, or the /64 of an IPv6 one.
uint64_t client_key(const net::Ip& client);

}  // namespace terrace::lb
