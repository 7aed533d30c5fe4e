#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace terrace::program {

// What `terrace up` says once the site serves.
struct Announcement {
  std::vector<std::string> web;  // bound addresses: "127.0.0.1:8080", "[::]:80"
  std::vector<std::string> hop;  // where load balancers reach it
  std::string admin;             // the same, of /metrics; empty without
  std::string log_folder;
};

// A few lines: where to look.
std::string announcement_text(const Announcement& announcement);

// The URL at which a browser on this machine reaches the address:
// "http://localhost:8080".
std::string local_url(std::string_view address);

}  // namespace terrace::program
