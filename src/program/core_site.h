#pragma once

// The parts of program/core.cc that its other files see.

#include <memory>
#include <vector>

#include "program/core.h"

namespace terrace::program {

// The site as this core serves it now; replaced as a whole by a reload.
struct Core::ServedSite {
  std::shared_ptr<const topology::Site> site;
  std::unique_ptr<web::FileServer> files;
  std::vector<net::Network> trusted;
  uint32_t release = 0;
};

}  // namespace terrace::program
