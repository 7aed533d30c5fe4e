#include "certificates/folder.h"

#include <openssl/err.h>
#include <openssl/x509.h>
#include <unistd.h>

#include <cerrno>

#include "base/file.h"

namespace terrace::certificates {
namespace {

constexpr mode_t kSecret = 0600;
constexpr mode_t kPublic = 0644;

Result<std::string> read(const std::string& path) {
  Result<std::string> text = read_file(path, kPemBytesMax);
  if (!text && text.error().system == ENOENT) return fail(Code::kNotFound, "certificates", "no such file");
  return text;
}

bool belong_together(std::string_view certificates_pem, const PrivateKey& key) {
  const Result<std::vector<CertificateHandle>> all = parse_pem(certificates_pem, net::kPeerCertificatesMax);
  const bool same = all && X509_check_private_key(all->front().get(), key.handle()) == 1;
  ERR_clear_error();
  return same;
}

std::unexpected<Error> not_a_pair() {
  return fail(Code::kInvalid, "certificates", "the certificate is not for the key in server.key");
}

}  // namespace

Result<Folder> Folder::open(std::string path) {
  const Result<void> made = make_folders(path, 0700);
  if (!made) return std::unexpected(made.error());
  return Folder(std::move(path));
}

Result<PrivateKey> Folder::key() const {
  const Result<std::string> pem = read(key_path());
  if (pem) return PrivateKey::parse(*pem);
  if (pem.error().code != Code::kNotFound) return std::unexpected(pem.error());
  Result<PrivateKey> key = PrivateKey::make();
  if (!key) return key;
  const Result<std::string> text = key->pem();
  if (!text) return std::unexpected(text.error());
  const Result<void> written = write_file(key_path(), *text, kSecret);
  if (!written) return std::unexpected(written.error());
  return key;
}

Result<void> Folder::write_certificate(std::string_view pem) const {
  const Result<PrivateKey> own_key = key();
  if (!own_key) return std::unexpected(own_key.error());
  if (!belong_together(pem, *own_key)) return not_a_pair();
  return write_file(certificate_path(), pem, kPublic);
}

Result<void> Folder::write_pair(std::string_view certificates_pem, const PrivateKey& key) const {
  if (!belong_together(certificates_pem, key)) return not_a_pair();
  const Result<std::string> text = key.pem();
  if (!text) return std::unexpected(text.error());
  if (Result<void> written = write_file(key_path(), *text, kSecret); !written) return written;
  return write_file(certificate_path(), certificates_pem, kPublic);
}

Result<void> Folder::write_trust(const Bundle& bundle) const {
  return write_file(trust_path(), bundle.pem(), kPublic);
}

Result<Folder::Own> Folder::own() const {
  Result<std::string> certificates = read(certificate_path());
  if (!certificates) return std::unexpected(certificates.error());
  Result<std::string> key_text = read(key_path());
  if (!key_text) return std::unexpected(key_text.error());
  Result<Identity> identity = read_identity_pem(*certificates);
  if (!identity) return std::unexpected(identity.error());
  const Result<PrivateKey> own_key = PrivateKey::parse(*key_text);
  if (!own_key) return std::unexpected(own_key.error());
  if (!belong_together(*certificates, *own_key)) return not_a_pair();
  return Own{.certificates_pem = std::move(*certificates),
             .key_pem = std::move(*key_text),
             .identity = std::move(*identity)};
}

Result<Bundle> Folder::trust() const {
  const Result<std::string> pem = read(trust_path());
  if (!pem) return std::unexpected(pem.error());
  return Bundle::parse(*pem);
}

Result<void> Folder::write_authority(const Authority& authority) const {
  const Result<std::string> key_text = authority.key_pem();
  if (!key_text) return std::unexpected(key_text.error());
  return write_file(authority_path(), authority.certificate_pem() + *key_text, kSecret);
}

Result<Authority> Folder::authority() const {
  const Result<std::string> both = read(authority_path());
  if (!both) return std::unexpected(both.error());
  constexpr std::string_view kKey = "-----BEGIN PRIVATE KEY-----";
  const size_t cut = both->find(kKey);
  if (cut == std::string::npos) return fail(Code::kInvalid, "authority", "no key is in its file");
  return Authority::load(std::string_view(*both).substr(0, cut), std::string_view(*both).substr(cut));
}

Result<void> Folder::remove_authority() const {
  if (::unlink(authority_path().c_str()) != 0 && errno != ENOENT) return fail_system("unlink");
  return {};
}

}  // namespace terrace::certificates
