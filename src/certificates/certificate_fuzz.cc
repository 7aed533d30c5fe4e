#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/assert.h"
#include "certificates/authority.h"
#include "certificates/verifier.h"

// The certificates and the requests for one that a stranger may send, and the files
// that hold them. What is taken holds names of ours and no others; nothing of it makes
// its sender a server of the site.

namespace {

using namespace terrace::certificates;

void check_identity(const Identity& identity) {
  ASSERT(is_name(identity.site) && is_name(identity.server));
  ASSERT(identity.roles.size() <= kRolesMax);
  for (const std::string& role : identity.roles) ASSERT(is_name(role) && identity.has_role(role));
  ASSERT(identity.serial.size() == 32);
}

// Signed by nobody whom the fuzzer knows: whatever it shows, it stays outside.
void check_stranger(std::string_view der) {
  static const terrace::VirtualClock clock;
  static const Authority authority = Authority::make("site-1", clock.wall()).value();
  static const auto of_site =
      Verifier::of_site(Bundle::parse(authority.certificate_pem()).value(), {}, clock).value();
  static const auto pinned = Verifier::pinned(authority.fingerprint(), clock);
  static const auto of_traffic =
      Verifier::of_site(Bundle::parse(authority.certificate_pem()).value(), {}, clock, {.use = Use::kTraffic})
          .value();
  const std::string_view shown[] = {der, der};
  ASSERT(!of_traffic->check({.certificates_der = shown}));
  ASSERT(!of_site->check({.certificates_der = shown}));
  ASSERT(!pinned->check({.certificates_der = shown, .is_server = true}));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const auto identity = read_identity(bytes);
  if (identity) check_identity(*identity);
  check_stranger(bytes);
  (void)Request::parse(bytes);
  const auto of_file = read_identity_pem(bytes);
  if (of_file) check_identity(*of_file);
  const auto bundle = Bundle::parse(bytes);
  if (bundle) {
    ASSERT(is_name(bundle->site()));
    ASSERT(Bundle::parse(bundle->pem())->fingerprints() == bundle->fingerprints());
  }
  return 0;
}
