#pragma once

// How a command asks the keeper of a lab (request.h). It blocks.

#include <chrono>
#include <string>

#include "base/descriptor.h"
#include "base/result.h"
#include "lab/folders.h"
#include "lab/request.h"

namespace terrace::lab {

struct KeeperAnswer {
  std::string line;       // JSON
  Descriptor descriptor;  // of `enter`
  bool ok = false;
  std::string error;  // for a person, when not ok
};

// kNotFound when no such lab runs, kClosed when its keeper ended meanwhile.
Result<KeeperAnswer> ask_keeper(const LabFolders& folders, const Request& request,
                                std::chrono::seconds patience = std::chrono::seconds(120));

// The pidfd of a machine. The error is a text for a person.
std::expected<Descriptor, std::string> enter(const LabFolders& folders, const std::string& machine);

std::string describe_keeper_error(const Error& error, const LabFolders& folders);

}  // namespace terrace::lab
