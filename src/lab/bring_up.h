#pragma once

// From machines that are switched on to a site that serves: what a person does on
// rented ones, by commands within them and nothing else. Terrace is copied and
// installed, the site file is put on the first server, it is started, the others join,
// and the folder of the site file is deployed.

#include <chrono>
#include <expected>
#include <functional>
#include <string>
#include <string_view>

#include "lab/folders.h"
#include "lab/plan.h"

namespace terrace::lab {

struct BringUp {
  const Plan& plan;
  const LabFolders& folders;
  std::string site_text;              // of the site file
  std::string project;                // the folder that is deployed
  std::vector<std::string> left_out;  // paths below it that are not
  bool deploy = true;
  std::function<bool()> interrupted;  // asked often: give up
  std::function<void(std::string_view step, std::string_view text)> progress;
};

// The error is a text for a person.
std::expected<void, std::string> bring_up(const BringUp& order);

}  // namespace terrace::lab
