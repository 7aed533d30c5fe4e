#include "lb/client_table.h"

#include <algorithm>
#include <bit>

#include "base/assert.h"
#include "base/hash.h"

// Why the order of memory is enough:
//
// - Requests in flight: one word, changed by compare-and-exchange only if its tag and its number
//   are still those that were looked at. All changes of one word have one order, whatever is
//   said about other words.
// - The rate: `next` of a place is changed only by whoever has a request in flight there. Each
//   admission is one compare-and-exchange, and those of one word are in one order, too. It is enough
//   that they are relaxed.
// - From one client to the next: leave() releases what its thread wrote to `next`, and who looks
//   at the entry acquires it; so who finds nobody in flight sees the time that the last one left
//   behind. Should somebody come before the place is taken, the entry is another one, even when
//   that request has left again (generation), and the exchange fails. A `next` that is not
//   in the future means the same as none: it needs no reset, which another core could overtake.
// - A new client: who does not find its tag in the row, and then changes the row's word from what
//   it was before it looked, knows that no client came meanwhile; the acquired word brings the
//   entries of all who came before. Only then is the entry written, by whoever comes first. A
//   thread that slept in the middle of that finds another generation or another word.
//
// Twelve bits of generation can come round: a thread would have to sleep between two lines for
// exactly 4,096 requests of a client that is idle before and after. Then that client is
// forgotten too early, once.

namespace terrace::lb {
namespace {

constexpr int kTagShift = 20;
constexpr int kGenerationShift = 52;
constexpr uint64_t kInFlightMask = ClientTable::kInFlightMax;
constexpr uint64_t kGenerationMask = (1 << 12) - 1;

constexpr uint32_t tag_of(uint64_t entry) { return static_cast<uint32_t>(entry >> kTagShift); }
constexpr uint32_t in_flight_of(uint64_t entry) { return static_cast<uint32_t>(entry & kInFlightMask); }
constexpr uint64_t generation_of(uint64_t entry) { return entry >> kGenerationShift; }
constexpr uint64_t next_entry(uint64_t entry, uint32_t tag) {
  return (generation_of(entry) + 1) << kGenerationShift | uint64_t{tag} << kTagShift;
}

constexpr uint64_t kPending = uint64_t{1} << 63;
constexpr int kSequenceShift = 47;
constexpr int kPlaceShift = 44;
constexpr int kChangedGenerationShift = 32;

uint64_t next_change(uint64_t change, size_t place, uint64_t entry, uint32_t tag) {
  const uint64_t sequence = ((change & ~kPending) >> kSequenceShift) + 1;
  return kPending | sequence << kSequenceShift | place << kPlaceShift |
         generation_of(entry) << kChangedGenerationShift | tag;
}

int64_t nanoseconds(Time time) { return Duration(time.time_since_epoch()).count(); }

// How long before its time a request comes, beyond what is allowed; zero or less: it is in time.
int64_t too_early(const ClientRates& rates, int64_t next, int64_t now) { return next - now - rates.early; }

}  // namespace

static_assert(std::atomic<uint64_t>::is_always_lock_free && std::atomic<int64_t>::is_always_lock_free);

ClientTable::ClientTable(uint64_t hash_key, size_t rows)
    : hash_key_(hash_key), rows_count_(rows), rows_(std::make_unique<Row[]>(rows)) {
  static_assert(sizeof(Row) == 128);
  ASSERT(std::has_single_bit(rows));
}

ClientTable::~ClientTable() = default;

ClientTable::Place* ClientTable::find(Row& row, uint32_t tag) {
  for (Place& place : row.places) {
    if (tag_of(place.entry.load(std::memory_order_acquire)) == tag) return &place;
  }
  return nullptr;
}

// Each round that begins anew does so because another thread has got on.
ClientTable::Admission ClientTable::admit(const ClientRates& rates, uint64_t client, Time time) {
  const uint64_t hash = hash64({reinterpret_cast<const char*>(&client), sizeof client}, hash_key_);
  const size_t number = hash & (rows_count_ - 1);
  const uint32_t tag = std::max(static_cast<uint32_t>(hash >> 32), 1U);
  const uint32_t at_once = rates.at_once > 0 ? rates.at_once : kInFlightMax;
  const int64_t now = nanoseconds(time);
  Row& row = rows_[number];
  for (;;) {
    Place* const place = find(row, tag);
    if (place == nullptr) {
      if (!insert(row, tag, now)) return {};
      continue;
    }
    uint64_t entry = place->entry.load(std::memory_order_acquire);
    if (tag_of(entry) != tag) continue;
    if (in_flight_of(entry) >= at_once) return {.answer = Answer::kTooMany};
    // Here it may be another client's time already, so that only a refusal is final.
    int64_t next = place->next.load(std::memory_order_acquire);
    if (rates.interval > 0 && too_early(rates, next, now) > 0) {
      if (tag_of(place->entry.load(std::memory_order_relaxed)) != tag) continue;
      return {.answer = Answer::kTooFast, .retry_after = Duration(too_early(rates, next, now))};
    }
    if (!place->entry.compare_exchange_strong(entry, entry + 1, std::memory_order_acquire)) continue;
    const auto slot =
        static_cast<Slot>(number * (kRowPlaces + 1) + static_cast<size_t>(place - row.places.data()));
    if (rates.interval == 0) return {.slot = slot};
    next = place->next.load(std::memory_order_relaxed);
    do {
      if (too_early(rates, next, now) > 0) {
        leave(slot);
        return {.answer = Answer::kTooFast, .retry_after = Duration(too_early(rates, next, now))};
      }
    } while (!place->next.compare_exchange_weak(next, std::max(next, now) + rates.interval,
                                                std::memory_order_relaxed));
    return {.slot = slot};
  }
}

// One less, and the next generation, which leaves the word at its upper end.
void ClientTable::leave(Slot slot) {
  if (slot == kNoSlot) return;
  Place& place = rows_[slot / (kRowPlaces + 1)].places[slot % (kRowPlaces + 1)];
  constexpr uint64_t kOneLess = (uint64_t{1} << kGenerationShift) - 1;
  const uint64_t before = place.entry.fetch_add(kOneLess, std::memory_order_release);
  ASSERT(in_flight_of(before) > 0);
}

// Gives the client a place, or helps another to one; the row is to be looked at again then.
// False: there is none.
bool ClientTable::insert(Row& row, uint32_t tag, int64_t now) {
  uint64_t change = row.change.load(std::memory_order_acquire);
  if ((change & kPending) != 0) {
    complete(row, change);
    return true;
  }
  size_t quiet = kRowPlaces;
  uint64_t quiet_entry = 0;
  int64_t least = now;
  for (size_t i = 0; i < kRowPlaces; ++i) {
    const uint64_t entry = row.places[i].entry.load(std::memory_order_acquire);
    if (tag_of(entry) == tag) return true;
    const int64_t next = row.places[i].next.load(std::memory_order_acquire);
    if (in_flight_of(entry) > 0 || next > least) continue;
    quiet = i;
    quiet_entry = entry;
    least = next;
  }
  // Unless the row has changed: then the client may have come to a place that was looked at before.
  if (quiet == kRowPlaces) return row.change.load(std::memory_order_relaxed) != change;
  const uint64_t wanted = next_change(change, quiet, quiet_entry, tag);
  if (row.change.compare_exchange_strong(change, wanted, std::memory_order_acq_rel)) complete(row, wanted);
  return true;
}

// By one or by several threads: the entry is exchanged once, and not at all when somebody has
// come to its client.
void ClientTable::complete(Row& row, uint64_t change) {
  Place& place = row.places[change >> kPlaceShift & 7];
  uint64_t entry = place.entry.load(std::memory_order_acquire);
  const bool as_seen = generation_of(entry) == (change >> kChangedGenerationShift & kGenerationMask);
  if (as_seen && in_flight_of(entry) == 0 && row.change.load(std::memory_order_acquire) == change) {
    place.entry.compare_exchange_strong(entry, next_entry(entry, static_cast<uint32_t>(change)),
                                        std::memory_order_acq_rel);
  }
  row.change.compare_exchange_strong(change, change & ~kPending, std::memory_order_acq_rel);
}

void ClientTable::shorten(const ClientRates& rates, Time now) {
  const int64_t latest = nanoseconds(now) + rates.early + rates.interval;
  for (size_t i = 0; i < rows_count_; ++i) {
    for (Place& place : rows_[i].places) {
      int64_t next = place.next.load(std::memory_order_relaxed);
      while (next > latest && !place.next.compare_exchange_weak(next, latest, std::memory_order_relaxed)) {
      }
    }
  }
}

uint64_t ClientTable::in_flight() const {
  uint64_t sum = 0;
  for (size_t i = 0; i < rows_count_; ++i) {
    for (const Place& place : rows_[i].places)
      sum += in_flight_of(place.entry.load(std::memory_order_acquire));
  }
  return sum;
}

}  // namespace terrace::lb
