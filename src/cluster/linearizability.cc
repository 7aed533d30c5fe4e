#include "cluster/linearizability.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <unordered_set>

namespace terrace::cluster {
namespace {

constexpr uint64_t kNever = std::numeric_limits<uint64_t>::max();

// What the register holds after the operation; none when it could not have ended so.
std::optional<uint64_t> after(const Operation& operation, uint64_t value) {
  if (operation.kind == Operation::Kind::kRead)
    return value == operation.value ? std::optional(value) : std::nullopt;
  const bool holds = value == operation.expected;
  switch (operation.ending) {
    case Operation::Ending::kDone:
      return holds ? std::optional(operation.value) : std::nullopt;
    case Operation::Ending::kRefused:
      return holds ? std::nullopt : std::optional(value);
    case Operation::Ending::kUnknown:
      // That it did not happen needs no place in the order.
      return holds ? std::optional(operation.value) : std::nullopt;
  }
  return std::nullopt;
}

uint64_t end_of(const Operation& operation) {
  return operation.ending == Operation::Ending::kUnknown ? kNever : operation.returned;
}

// Which operations were ordered already, and what the register held then. As operations
// are sorted by their calls, all before `first` are.
struct Reached {
  size_t first = 0;
  std::vector<bool> later;  // of those from `first` on
  uint64_t value = 0;
  bool operator==(const Reached&) const = default;
};

struct ReachedHash {
  size_t operator()(const Reached& reached) const {
    size_t hash = std::hash<std::vector<bool>>()(reached.later);
    hash = hash * 1'000'003 + reached.first;
    return hash * 1'000'003 + reached.value;
  }
};

class Search {
 public:
  explicit Search(std::vector<Operation> operations) : operations_(std::move(operations)) {
    std::ranges::sort(operations_, {}, &Operation::called);
  }

  // Depth first, with a stack of its own: histories are longer than ours may be deep.
  std::optional<std::string> run() {
    std::vector<Reached> open = {Reached{}};
    std::unordered_set<Reached, ReachedHash> seen = {Reached{}};
    while (!open.empty()) {
      const Reached now = std::move(open.back());
      open.pop_back();
      if (all_known_are_ordered(now)) return std::nullopt;
      farthest_ = std::max(farthest_, now.first);
      for (Reached& next : steps(now)) {
        if (seen.insert(next).second) open.push_back(std::move(next));
      }
    }
    return describe();
  }

 private:
  bool ordered(const Reached& now, size_t i) const {
    return i < now.first || (i - now.first < now.later.size() && now.later[i - now.first]);
  }

  // What is left may never have happened.
  bool all_known_are_ordered(const Reached& now) const {
    for (size_t i = now.first; i < operations_.size(); ++i) {
      if (!ordered(now, i) && end_of(operations_[i]) != kNever) return false;
    }
    return true;
  }

  // The next operation is one that was called before any open one returned.
  std::vector<Reached> steps(const Reached& now) const {
    uint64_t first_return = kNever;
    for (size_t i = now.first; i < operations_.size() && operations_[i].called <= first_return; ++i) {
      if (!ordered(now, i)) first_return = std::min(first_return, end_of(operations_[i]));
    }
    std::vector<Reached> next;
    for (size_t i = now.first; i < operations_.size() && operations_[i].called <= first_return; ++i) {
      if (ordered(now, i)) continue;
      if (const std::optional<uint64_t> value = after(operations_[i], now.value))
        next.push_back(with(now, i, *value));
    }
    return next;
  }

  static Reached with(const Reached& now, size_t i, uint64_t value) {
    Reached next = now;
    next.value = value;
    if (next.later.size() <= i - now.first) next.later.resize(i - now.first + 1);
    next.later[i - now.first] = true;
    size_t done = 0;
    while (done < next.later.size() && next.later[done]) ++done;
    next.later.erase(next.later.begin(), next.later.begin() + static_cast<ptrdiff_t>(done));
    next.first += done;
    return next;
  }

  std::string describe() const {
    const Operation& at = operations_[std::min(farthest_, operations_.size() - 1)];
    return fmt::format("no order explains the {} called at {} ({} {}, expected {}), operation {} of {}",
                       at.kind == Operation::Kind::kRead ? "read" : "write", at.called,
                       at.ending == Operation::Ending::kRefused ? "refused" : "value", at.value, at.expected,
                       farthest_ + 1, operations_.size());
  }

  std::vector<Operation> operations_;
  size_t farthest_ = 0;
};

}  // namespace

std::optional<std::string> violation(const std::vector<Operation>& history) { return Search(history).run(); }

}  // namespace terrace::cluster
