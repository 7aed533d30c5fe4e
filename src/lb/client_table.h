#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>

#include "base/clock.h"

namespace terrace::lb {

// What is counted of each client, for all cores of a worker: one table that any thread uses at
// any time, without locks and without allocation.
//
// The rate is the generic cell rate algorithm (ITU-T I.371, the virtual scheduling form):
// one time per client, exact, and no timer. Whatever the number of threads, a client that has
// a place is let through at most `burst` + time * rate times, and never has more than `at_once`
// requests in flight. A thread whose `now` is a little behind is only stricter.
//
// The table is of a fixed size, in rows of seven places; a keyed hash says which row is a
// client's, so that nobody can choose whom to meet. Only a client of whom there is nothing
// to know (nothing in flight, no time that is not yet made up for) is pushed out by another:
// to forget it changes nothing. So a request in flight keeps its client's place, and leave() of
// it can meet no other client. One who finds only such rows is let through unlimited. Clients are
// told apart by 45 bits of the hash or more; two that share them share their limits.
//
// A client's place is 16 bytes of one cache line. Cores meet on that line when they serve the same
// client, which is what it is for; else only when their clients are in the same half of a row,
// one pair of 16,384. Who is refused for its rate writes nothing.

// Rates of one client. All zero: nobody is limited.
struct ClientRates {
  int64_t interval = 0;  // nanoseconds from one request to the next; zero: no rate
  int64_t early = 0;     // nanoseconds that a request may come before its time: a burst
  uint32_t at_once = 0;  // requests in flight; zero: no limit. At most kInFlightMax
  bool operator==(const ClientRates&) const = default;
  bool any() const { return interval > 0 || at_once > 0; }
};

class ClientTable {
 public:
  static constexpr size_t kRowPlaces = 7;
  static constexpr size_t kRows = 8192;                    // one MiB, 57,344 clients
  static constexpr uint32_t kInFlightMax = (1 << 20) - 1;  // of one client; more are refused

  // `rows`: a power of two.
  explicit ClientTable(uint64_t hash_key, size_t rows = kRows);
  ~ClientTable();
  ClientTable(const ClientTable&) = delete;
  ClientTable& operator=(const ClientTable&) = delete;

  // Where an admitted request is counted until leave().
  using Slot = uint32_t;
  static constexpr Slot kNoSlot = ~Slot{0};

  enum class Answer : uint8_t {
    kYes,
    kTooFast,  // 429; retry_after says when
    kTooMany,  // 429: too many at once
  };
  struct Admission {
    Answer answer = Answer::kYes;
    Slot slot = kNoSlot;      // kYes only; kNoSlot: not limited, its row is full
    Duration retry_after{0};  // kTooFast only
  };
  // From any thread, as all that follows. `client` is whatever tells it from others.
  Admission admit(const ClientRates& rates, uint64_t client, Time now);
  // Once for every slot that was given, from whichever thread.
  void leave(Slot slot);
  // After the rates have changed: nobody has to make up for more than under `rates`. What is
  // in flight stays counted.
  void shorten(const ClientRates& rates, Time now);

  // Of all clients; walks the table.
  uint64_t in_flight() const;

 private:
  // Who has the place and how many requests it has in flight, in one word, so that one
  // compare-and-exchange decides on both:
  //   12 bits generation | 32 bits tag of the client, zero: nobody | 20 bits in flight
  // The generation changes with every leave() and every new client.
  struct alignas(16) Place {
    std::atomic<uint64_t> entry{0};
    std::atomic<int64_t> next{0};  // nanoseconds of Time: when the rate would have the next one arrive
  };
  // New clients of a row come one after the other, or two cores could give one client two
  // places. The word says what the last of them does:
  //   pending | 16 bits sequence | 3 bits place | 12 bits generation of it | 32 bits tag
  // Whoever meets it pending completes it: nobody waits for anybody.
  struct alignas(128) Row {
    std::atomic<uint64_t> change{0};
    std::array<Place, kRowPlaces> places;
  };

  static Place* find(Row& row, uint32_t tag);
  static bool insert(Row& row, uint32_t tag, int64_t now);
  static void complete(Row& row, uint64_t change);

  uint64_t hash_key_;
  size_t rows_count_;
  std::unique_ptr<Row[]> rows_;
};

}  // namespace terrace::lb
