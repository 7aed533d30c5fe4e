#pragma once

#include <string>
#include <string_view>

#include "base/clock.h"
#include "certificates/key.h"
#include "certificates/verifier.h"

namespace terrace::certificates {

// The revoked serials as a certificate revocation list in PEM (RFC 5280 section 5),
// for a program that is not ours and shares our certificates: etcd takes it with
// --client-crl-file and --peer-crl-file, reads it anew for each connection, and looks
// at the serials alone. Each server writes its own and signs it with its own key.
// Revocations of a whole server have no serial: whoever revokes one must name its
// serials too.
Result<std::string> revocation_list(const Revocations& revocations, std::string_view signer_certificate_pem,
                                    const PrivateKey& signer, WallTime now);

}  // namespace terrace::certificates
