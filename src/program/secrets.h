#pragma once

// The secrets of a site: what `terrace secret set NAME` was given, a file each in
// <state>/secrets, for `${secret:NAME}` in the site file.
//
// The folder (0700) and the files (0600) belong to the user that the supervisor runs
// as: root, or on a laptop the one user that there is. Controller and worker are the
// same user as each other, so the files are none of theirs: the supervisor reads them
// and hands them to the controller alone, as one text in a sealed memfd.
//
// The folder above belongs to the controller's user, who could put another folder in
// this one's place: so all happens relative to a descriptor of it, whose owner is
// looked at first.

#include <chrono>
#include <cstddef>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/descriptor.h"
#include "base/result.h"
#include "config/interpolate.h"

namespace terrace::program {

constexpr size_t kSecretBytesMax = 16 << 10;
constexpr size_t kSecretsMax = 256;
// Of all of them with their names, as pack() writes them.
constexpr size_t kPackedSecretsBytesMax = kSecretsMax * (kSecretBytesMax + 128);

struct SecretEntry {
  std::string name;
  std::chrono::system_clock::time_point changed;
};

class SecretFolder {
 public:
  // `folder` is <state>/secrets.
  explicit SecretFolder(std::string folder) : folder_(std::move(folder)) {}

  // Each is kUnavailable when the folder belongs to another user, and kInvalid for
  // what cannot be a name.
  //
  // Makes the folder when it is missing. kInvalid also for a value that cannot be a
  // secret; kLimit when there are too many.
  Result<void> set(std::string_view name, std::string_view value) const;
  // kNotFound when there is none of that name.
  Result<std::string> get(std::string_view name) const;
  Result<void> remove(std::string_view name) const;
  // By name. None when there is no folder.
  Result<std::vector<SecretEntry>> list() const;
  // "NAME=value\0NAME=value\0" of all of them.
  Result<std::string> pack() const;

 private:
  // kNotFound: there is none.
  Result<Descriptor> open() const;
  Result<Descriptor> make() const;

  std::string folder_;
};

std::map<std::string, std::string> unpack_secrets(std::string_view packed);

// For LoadOptions: `${secret:NAME}` from such a text.
config::Inputs inputs_with_packed(std::string packed);
// The same from the files, for the command line. What the user may not read is
// kUnavailable.
config::Inputs inputs_with_files(std::string folder);

// What is wrong with a value, in words; "" when it can be a secret.
std::string wrong_with_secret(std::string_view value);

}  // namespace terrace::program
