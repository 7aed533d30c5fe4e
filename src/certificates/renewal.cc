#include "certificates/renewal.h"

#include <algorithm>

namespace terrace::certificates {
namespace {

constexpr Duration kRetryMin = std::chrono::seconds(1);
constexpr Duration kRetryMax = std::chrono::minutes(10);

Duration life_of(const Identity& identity) { return identity.expires - identity.issued; }

// Between nine tenths and the whole.
Duration spread(Duration whole, Random& random) {
  const auto tenth = static_cast<uint64_t>(whole.count() / 10);
  return whole - Duration(static_cast<int64_t>(random.below(tenth + 1)));
}

}  // namespace

Duration renew_after(const Identity& fresh, Random& random) { return spread(life_of(fresh) / 3, random); }

Duration renew_after_start(const Identity& loaded, WallTime now) {
  const Duration third = life_of(loaded) / 3;
  const Duration age = now - loaded.issued;
  return std::clamp(third - age, Duration::zero(), third);
}

Duration retry_after(const Identity& identity, Random& random) {
  return spread(std::clamp(life_of(identity) / 36, kRetryMin, kRetryMax), random);
}

}  // namespace terrace::certificates
