#include "http/handshakes.h"

#include <algorithm>
#include <utility>

namespace terrace::http {

void Handshakes::add(Handshake& one) {
  if (Handshake* const other = one_too_many(one)) {
    remove(*other);
    other->crowded_out = true;
    other->crowd_out();
  }
  under_way_.push_back(&one);
}

void Handshakes::remove(Handshake& one) { std::erase(under_way_, &one); }

Handshake* Handshakes::one_too_many(const Handshake& newcomer) const {
  const auto same = [&](const Handshake* each) { return each->from == newcomer.from; };
  const auto of_address = static_cast<size_t>(std::ranges::count_if(under_way_, same));
  if (!newcomer.expected && of_address >= limits_.of_one_address)
    return *std::ranges::find_if(under_way_, same);
  if (under_way_.size() < limits_.total) return nullptr;
  const auto stranger = std::ranges::find(under_way_, false, &Handshake::expected);
  return stranger != under_way_.end() ? *stranger : under_way_.front();
}

}  // namespace terrace::http
