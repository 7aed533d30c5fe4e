#include "program/who_asks.h"

#include <pwd.h>
#include <unistd.h>

#include <cstdlib>
#include <string_view>

#include "program/table.h"

namespace terrace::program {

std::string who_asks() {
  const char* before_sudo = std::getenv("SUDO_USER");
  const passwd* account = ::getpwuid(::getuid());
  std::string who = before_sudo != nullptr ? before_sudo : account != nullptr ? account->pw_name : "";
  const char* connection = std::getenv("SSH_CONNECTION");
  if (connection != nullptr) who += "@" + std::string(connection, std::string_view(connection).find(' '));
  return printable(who);
}

}  // namespace terrace::program
