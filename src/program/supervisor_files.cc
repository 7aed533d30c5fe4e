// What the supervisor reads and writes because the controller, which may not, asks: the
// site file and secrets. Where that is is never the controller's to say.

#include <string.h>

#include <cerrno>
#include <utility>

#include "program/secrets.h"
#include "program/site_file.h"
#include "program/supervisor.h"
#include "program/text_descriptor.h"

namespace terrace::program {

void Supervisor::handle_write_site(const WriteSite& record, const Descriptor& text) {
  const Result<std::string> read = read_text_descriptor(text.get(), kSiteFileBytesMax);
  Result<void> done =
      read ? replace_site_file(parts_.up.site_path, *read) : Result<void>(std::unexpected(read.error()));
  if (!done) log_.error("the site file cannot be written", {{"error", describe(done.error())}});
  answer_written(record.id, done);
}

void Supervisor::handle_store_secret(const StoreSecret& record, const Descriptor& value) {
  const SecretFolder folder(secrets_folder(parts_.folders));
  if (record.removes != 0) {
    Result<void> removed = folder.remove(record.name.view());
    // That it is gone is all that was wanted.
    if (!removed && removed.error().code == Code::kNotFound) removed = {};
    return answer_written(record.id, removed);
  }
  Result<std::string> read = read_text_descriptor(value.get(), kSecretBytesMax);
  answer_written(record.id,
                 read ? folder.set(record.name.view(), *read) : Result<void>(std::unexpected(read.error())));
  if (read) ::explicit_bzero(read->data(), read->size());
}

void Supervisor::answer_written(uint32_t id, const Result<void>& done) {
  Written answer{.id = id, .failed = done ? 0U : 1U};
  if (!done) (void)answer.error.set(std::string_view(describe(done.error())).substr(0, 255));
  tell(controller_, answer);
}

void Supervisor::send_secrets() {
  Secrets record;
  const Descriptor packed = pack_secrets(record.system);
  tell(controller_, record, packed.get());
}

void Supervisor::handle_read_secrets() {
  SecretsRead record;
  const Descriptor packed = pack_secrets(record.system);
  tell(controller_, record, packed.get());
}

// Those on disk now; none, and errno in `system`, when they cannot be read.
Descriptor Supervisor::pack_secrets(int32_t& system) const {
  Result<std::string> packed = SecretFolder(secrets_folder(parts_.folders)).pack();
  Result<Descriptor> memory = packed ? make_text_descriptor(*packed) : std::unexpected(packed.error());
  // What we fork later must not find them in our memory.
  if (packed) ::explicit_bzero(packed->data(), packed->size());
  if (memory) return std::move(*memory);
  log_.error("the secrets cannot be read", {{"error", describe(memory.error())}});
  system = memory.error().system != 0 ? memory.error().system : EACCES;
  return {};
}

}  // namespace terrace::program
