#include "program/text_descriptor.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>

#include "base/file.h"

namespace terrace::program {

Result<Descriptor> make_text_descriptor(std::string_view text) {
  Descriptor memory(::memfd_create("terrace-text", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!memory) return fail_system("memfd_create");
  if (const Result<void> written = write_all(memory.get(), text); !written)
    return std::unexpected(written.error());
  if (::fcntl(memory.get(), F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL) != 0)
    return fail_system("seal");
  return memory;
}

Result<std::string> read_text_descriptor(int descriptor, size_t bytes_max) {
  std::string text;
  char block[16384];
  for (;;) {
    const ssize_t n = ::pread(descriptor, block, sizeof block, static_cast<off_t>(text.size()));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return fail_system("pread");
    if (n == 0) return text;
    text.append(block, static_cast<size_t>(n));
    if (text.size() > bytes_max) return fail(Code::kLimit, "pread", "the text is too long");
  }
}

}  // namespace terrace::program
