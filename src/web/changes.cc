#include "web/changes.h"

#include <sys/inotify.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <utility>

namespace terrace::web {
namespace {

constexpr uint32_t kNames =
    IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO | IN_DELETE_SELF | IN_MOVE_SELF;
// Writing itself is not watched: a large upload would make an event per write.
// Whoever serves a file that is being written sees it within the time limit.
constexpr uint32_t kWatched = kNames | IN_CLOSE_WRITE | IN_ATTRIB;

}  // namespace

class [[nodiscard]] Changes::Readable {
 public:
  explicit Readable(Watch& watch) : watch_(watch) {}
  bool await_ready() const noexcept { return watch_.readable; }
  void await_suspend(std::coroutine_handle<> waiting) noexcept { watch_.reader = waiting; }
  void await_resume() const noexcept {}

 private:
  Watch& watch_;
};

Changes::Changes(Reactor& reactor, std::string root, size_t folders_max)
    : reactor_(reactor), root_(std::move(root)), folders_max_(folders_max) {}

Result<void> Changes::start() {
  Descriptor inotify(::inotify_init1(IN_NONBLOCK | IN_CLOEXEC));
  if (!inotify) return fail_system("inotify_init1");
  if (Result<void> started = watch_.start(reactor_, inotify.get()); !started) return started;
  inotify_ = std::move(inotify);
  watch("");
  scope_.spawn(run());
  return {};
}

void Changes::watch_folders_of(std::string_view path) {
  if (!inotify_) return;
  size_t end = 0;
  while (watch(path.substr(0, end))) {
    end = path.find('/', end + 1);
    if (end == std::string_view::npos) return;
  }
}

// False when it is no folder, or cannot be watched: then what is in it cannot either.
bool Changes::watch(std::string_view folder) {
  const auto found = watched_.find(folder);
  if (found != watched_.end() && found->second == names_generation_) return true;
  if (found == watched_.end() && watched_.size() >= folders_max_) return false;
  std::string path = root_;
  path += folder;
  // Watching the same folder again is no second watch.
  if (::inotify_add_watch(inotify_.get(), path.c_str(), kWatched | IN_ONLYDIR) < 0) {
    if (found != watched_.end()) watched_.erase(found);
    return false;
  }
  watched_.insert_or_assign(std::string(folder), names_generation_);
  return true;
}

Task<void> Changes::run() {
  while (!closing_) {
    read_events();
    co_await Readable(watch_);
  }
}

void Changes::read_events() {
  alignas(inotify_event) std::array<char, 4096> buffer;
  for (;;) {
    const ssize_t got = ::read(inotify_.get(), buffer.data(), buffer.size());
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) break;
    ++generation_;
    for (ssize_t at = 0; at < got;) {
      const auto* event = reinterpret_cast<const inotify_event*>(buffer.data() + at);
      if ((event->mask & (kNames | IN_IGNORED | IN_Q_OVERFLOW)) != 0) ++names_generation_;
      at += static_cast<ssize_t>(sizeof *event + event->len);
    }
  }
  watch_.readable = false;
  // Names that no longer exist must not fill the table for ever.
  if (watched_.size() >= folders_max_) watched_.clear();
}

Task<void> Changes::close() {
  closing_ = true;
  if (watch_.reader) reactor_.resume_later(std::exchange(watch_.reader, nullptr));
  co_await scope_.join();
  watch_.stop();
  inotify_.reset();
}

}  // namespace terrace::web
