#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "config/interpolate.h"
#include "topology/site.h"

namespace terrace::topology {

// Reads site.toml into an immutable Site, or says everything that is wrong with
// it. Pure but for what LoadOptions reach; any thread.

enum class PathKind : uint8_t { kMissing, kFolder, kFile, kOther };
PathKind real_path_kind(const std::string& path);
// 0 for what is no file.
int64_t real_file_bytes(const std::string& path);

struct LoadOptions {
  // How messages name the file; empty: by its path.
  std::string shown_as;
  // What relative paths count from, the release that serves; empty: the folder of the
  // site file.
  std::string root;
  // The environment, the files and the secrets that `${…}` name.
  config::Inputs inputs = config::real_inputs();
  // The tables whose `${…}` are replaced. The worker needs no secret of the
  // application and passes without_secrets: values of the other tables that hold
  // `${…}` keep that text, and app.env and db.url stay empty.
  std::function<bool(std::string_view table)> resolve = [](std::string_view) { return true; };
  // Off: a site that serves nothing is one, too, and keys may lack what they need. The
  // worker's before the first release, without what relative paths lead to.
  bool wants_something_to_serve = true;
  // Off: whether folders exist is not asked. The worker may not see them all.
  bool look_at_folders = true;
  std::function<PathKind(const std::string& path)> path_kind = real_path_kind;
  std::function<int64_t(const std::string& path)> file_bytes = real_file_bytes;
};

// For LoadOptions::resolve: all but [app] and [db].
bool without_secrets(std::string_view table);

struct LoadedSite {
  std::shared_ptr<const Site> site;  // null when there are errors
  // What was found, as `terrace check` prints it, and as `check --json` does.
  std::string text;
  std::string json;
  size_t errors = 0;
  size_t warnings = 0;
  bool unreadable = false;  // the file could not be read at all: exit status 2
};

// `path` as the user gave it: so it stands in messages.
LoadedSite load_site(const std::string& path, const LoadOptions& options = {});
// The same for a text that was read already; `path` is where it came from.
LoadedSite load_site_text(std::string text, const std::string& path, const LoadOptions& options = {});

// The same site with relative paths counted from `root`, or from the folder of the site
// file when that is empty.
Site at_root(const Site& site, const std::string& root);

// What we may use of this machine.
struct Machine {
  int cores = 1;
  int64_t memory_bytes = 0;  // 0: unknown, and taken to be enough for the defaults below
};

// Of a site that runs from a release: the folders of `[app] writable` that lie below [web]
// files. In the release itself there are only links, which lead out of it.
struct KeptFolder {
  std::string at;      // the path under which it is served: "/uploads"
  std::string folder;  // all that is kept, absolute; the application writes below it
  std::string path;    // its own place there
};
std::vector<KeptFolder> kept_folders(const Site& site);

// What the file leaves to the machine.
struct Derived {
  int instances = 0;             // of the application; 0: there is none
  int connections_max = 10'000;  // of clients
  // Of each core of the worker.
  size_t buffers_max = 16'384;
  int64_t cache_bytes_max = 64 << 20;  // content of static files
  size_t cache_entries_max = 4096;     // files whose metadata is known
  std::vector<Named> shown;            // for people, in words: "app.instances" = "4, one per core"
};
Derived derive(const Site& site, const Machine& machine);
// "512 MiB"
std::string memory_text(int64_t bytes);

// What changes from one site to the other, a line each: "app: instances 2 -> 4".
// Secrets and what came through `${…}` are only said to have changed.
std::vector<std::string> difference(const Site& before, const Site& after);

// Every key with its value, a line each, as TOML; secrets as `***`.
std::string describe(const Site& site);

// The site as a file that reads as the same site, `${…}` replaced, without app.env
// and db.url: what a process needs that has neither the environment nor the files
// that were named. Not for people: it may hold what came through `${…}`.
std::string resolved_text(const Site& site);

// The JSON schema of the file (draft-04), for editors.
std::string site_schema();
// The reference of the file: docs/site-file.md from its "Reference" on, and the
// manual page site.toml(5).
std::string site_manual();
std::string site_manual_page();

}  // namespace terrace::topology
