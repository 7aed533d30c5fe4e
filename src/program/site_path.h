#pragma once

#include <optional>
#include <string>

#include "program/folders.h"

namespace terrace::program {

inline constexpr const char* kSiteFileName = "site.toml";
inline constexpr const char* kSystemSiteFile = "/etc/terrace/site.toml";

// The absolute path of the site file: `file` when it is not empty, else
// ./site.toml, else /etc/terrace/site.toml. Nothing when no such file is there.
std::optional<std::string> find_site(const std::string& file);

// The same; but when only the machine's own site runs, that one: who deploys may stand
// in a project with a site file of its own.
std::optional<std::string> find_running_site(const std::string& file);

// The same file as the person named it, for messages about it.
std::string shown_site(const std::string& file, const std::string& site_path);

// What to tell a person when there is none.
std::string no_site_text(const std::string& file);

// The control socket of the site that runs from this file, or where it would
// be. A site may run as root or as the one who asks, whoever asks now: ours is
// looked for first.
std::string find_control_socket(const std::string& site_path);

// The folders of the site, by the same rule, for what is looked up in its state.
Folders find_folders(const std::string& site_path);

// The folder of its log files, by the same rule.
std::string find_log_folder(const std::string& site_path);

}  // namespace terrace::program
