#include "web/missing.h"

#include "base/hash.h"

namespace terrace::web {

Missing::Missing(Random& random, Duration fresh_for)
    : path_key_(random.next()), folder_key_(random.next()), fresh_for_(fresh_for), slots_(kSlots) {}

// Never 0, which is an empty slot.
uint64_t Missing::hash(std::string_view path, uint64_t key) { return hash64(path, key) | 1; }

bool Missing::known(uint64_t hash, Time now, uint64_t generation) const {
  const Slot& slot = slots_[(hash >> 32) % kSlots];
  return slot.hash == hash && slot.generation == generation && now - slot.checked < fresh_for_;
}

bool Missing::contains(std::string_view path, Time now, uint64_t generation) const {
  return known(hash(first_folder(path), folder_key_), now, generation) ||
         known(hash(path, path_key_), now, generation);
}

void Missing::add(std::string_view path, Time now, uint64_t generation) {
  const uint64_t key = hash(path, path_key_);
  slots_[(key >> 32) % kSlots] = {.hash = key, .generation = generation, .checked = now};
}

void Missing::add_first_folder(std::string_view path, Time now, uint64_t generation) {
  const uint64_t key = hash(first_folder(path), folder_key_);
  slots_[(key >> 32) % kSlots] = {.hash = key, .generation = generation, .checked = now};
}

}  // namespace terrace::web
