#pragma once

#include "base/clock.h"
#include "base/random.h"
#include "certificates/identity.h"

namespace terrace::certificates {

// When a server asks for its next certificate: at a third of the life of the one that
// it has. Nobody to sign for a day, and a clock that is wrong by a day, each leave
// time enough with the default life of three days.
//
// The wait is measured on the monotonic clock. A server whose clock is ahead would
// otherwise take each new certificate for one that is due already, and ask without
// end; the wall clock decides only about what was found on the disk at the start.

// A certificate that has just come: a little less than a third of its life, by
// chance, so that servers that were made together do not all ask at once.
Duration renew_after(const Identity& fresh, Random& random);
// One that was read from the disk: what is left of the third, which may be nothing.
Duration renew_after_start(const Identity& loaded, WallTime now);
// After an attempt that failed.
Duration retry_after(const Identity& identity, Random& random);

}  // namespace terrace::certificates
