#pragma once

// The password of the application's database, as a file for those that read it from
// one: DB_PASSWORD_FILE. One file for each instance in <run>/passwords, mode 0400,
// its user's; gone with the instance.

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "base/descriptor.h"
#include "base/result.h"
#include "program/privileges.h"

namespace terrace::program {

class PasswordFiles {
 public:
  // `folder` is made with the first file; `change_owner` as root.
  PasswordFiles(std::string folder, bool change_owner)
      : folder_(std::move(folder)), change_owner_(change_owner) {}

  // The path of the new file. Files of instances that do not run (`runs`) are removed:
  // a killed supervisor leaves them behind.
  Result<std::string> write(uint32_t slot, uint32_t generation, std::string_view password, const User& user,
                            const std::function<bool(uint32_t slot, uint32_t generation)>& runs) const;
  void remove(uint32_t slot, uint32_t generation) const;
  // The folder, too, when nothing is left in it.
  void remove_folder() const;

 private:
  Result<Descriptor> open() const;

  std::string folder_;
  bool change_owner_;
};

}  // namespace terrace::program
