#pragma once

#include <cstdint>
#include <memory>
#include <optional>

#include "base/clock.h"
#include "base/metrics.h"
#include "net/address.h"

namespace terrace::lb {

// How many requests one client may send, per second and at once. A client is an IPv4
// address, or a /64 of IPv6: a single subscriber has that many addresses.
//
// The rate is the generic cell rate algorithm (ITU-T I.371, the virtual scheduling form):
// one time per client, exact, and no timer. The table is of a fixed size; clients that
// meet in a full row of it push out who has been quiet longest, and one who finds only
// busy ones is let through unlimited, and counted. The keyed hash keeps others from
// choosing where they meet.
//
// A core limits what it sees: a client with connections to several cores has so many
// times the rate. One core's; one thread.
struct ClientLimitOptions {
  double per_second = 0;        // requests; zero: no limit
  uint32_t burst = 1;           // requests that may come at once
  uint32_t at_once = 0;         // requests in flight; zero: no limit
  size_t clients_max = 65'536;  // known at a time; a power of two
};

class ClientLimits {
 public:
  ClientLimits(const ClientLimitOptions& options, uint64_t hash_key);
  // The rates; the size stays as it was.
  void set_options(const ClientLimitOptions& options);

  enum class Answer : uint8_t {
    kYes,
    kTooFast,  // 429; retry_after says when
    kTooMany,  // 429: too many at once
  };
  // Where an admitted request is counted until leave().
  using Slot = uint32_t;
  static constexpr Slot kNoSlot = ~Slot{0};
  struct Admission {
    Answer answer = Answer::kYes;
    Slot slot = kNoSlot;      // kYes only; kNoSlot: not limited
    Duration retry_after{0};  // kTooFast only
  };
  Admission admit(const net::Ip& client, Time now);
  void leave(Slot slot);

  // Requests that were let through because their row of the table was full. From any thread.
  uint64_t unlimited() const { return unlimited_.get(); }

 private:
  struct Client {
    uint64_t key = 0;
    int64_t next = 0;  // nanoseconds of Time: when the rate would have it arrive
    uint32_t in_flight = 0;
    bool used = false;
  };
  static constexpr size_t kRow = 8;

  Client* find(uint64_t key, Time now);

  ClientLimitOptions options_;
  uint64_t hash_key_;
  size_t rows_;
  std::unique_ptr<Client[]> clients_;
  Counter unlimited_;
};

// What limits and ip-hash take for one client: the address, or the /64 of an IPv6 one.
uint64_t client_key(const net::Ip& client);

}  // namespace terrace::lb
