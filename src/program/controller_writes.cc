// The controller's part about files that the application writes into its release, outside of
// `[app] writable`: who operates the site is told their paths, before a deploy or another
// server shows that they are missing.

#include <fmt/format.h>

#include "program/controller.h"
#include "program/table.h"

namespace terrace::program {
namespace {

constexpr std::chrono::seconds kLookPause{1};
// Between turns while a release has folders left; none of them blocks the reactor for long.
constexpr std::chrono::milliseconds kTurnPause{10};

}  // namespace

// Before its first instance starts: many an application writes while it does.
void Controller::look_after_release(uint32_t number, const topology::Site& site) {
  stray_writes_.end();
  looked_after_ = number;
  if (number == 0 || site.app.run.empty()) return;
  const Result<void> begun = stray_writes_.begin(release_folder(folders_.state, number), site.app.folder);
  if (!begun)
    log_.info("what the application writes outside of [app] writable is not noticed",
              {{"error", describe(begun.error())}});
  (void)stray_writes_.watch_more();
}

Task<void> Controller::look_after_writes() {
  for (;;) {
    const bool more = stray_writes_.watch_more();
    co_await sleep(reactor_, more ? Duration(kTurnPause) : Duration(kLookPause));
    if (!site_ || !complete_ || stopping_) continue;
    // A deploy has said which release it starts.
    if (!deploy_ && looked_after_ != releases_.current()) look_after_release(releases_.current(), *site_);
    if (more) continue;
    const std::vector<std::string> paths = stray_writes_.take();
    for (const std::string& path : paths) say_stray_write(path);
    if (!paths.empty() && stray_writes_.full())
      log_.warning("what else it writes outside of [app] writable is not said any more",
                   {{"paths", static_cast<int64_t>(StrayWrites::kPathsMax)}});
  }
}

void Controller::say_stray_write(const std::string& path) {
  constexpr const char* kWhere = "it is on one server only, and gone with the next deploy";
  log_.warning(fmt::format("the application wrote outside of [app] writable: {}", kWhere),
               {{"path", path}, {"release", int64_t{looked_after_}}});
  app_log_.write(name_in_log("app", looked_after_),
                 fmt::format("warning: wrote {}, outside of [app] writable: {}", printable(path), kWhere));
}

}  // namespace terrace::program
