#include "cluster/last_copy.h"

#include <cerrno>
#include <utility>

#include "base/file.h"
#include "cluster/journal.h"

namespace terrace::cluster {
namespace {

// How long one question may take; nobody waits for it but us.
constexpr Duration kAskMax = std::chrono::seconds(10);

}  // namespace

class LastCopy::Save final : public Offload::Work {
 public:
  Save(std::string path, Record record) : path_(std::move(path)), record_(std::move(record)) {}
  // The folder is that of the journal, which only a coordinator has.
  void run() override {
    result = make_folders(path_.substr(0, path_.rfind('/')), 0700);
    if (result) result = write_file(path_, checked_line(to_json(record_)), 0600);
  }
  Result<void> result;

 private:
  std::string path_;
  Record record_;
};

LastCopy::LastCopy(Reactor& reactor, const Log& log, std::string folder)
    : reactor_(reactor),
      log_(log),
      path_(std::move(folder) + "/last-copy"),
      published_(reactor),
      disk_(reactor, 1),
      changed_(reactor),
      stopped_(reactor) {}

Result<void> LastCopy::load() {
  const Result<std::string> text = read_file(path_, 2 * kStateTextBytesMax);
  if (!text && text.error().system == ENOENT) return {};
  if (!text) return std::unexpected(text.error());
  Journal::Contents contents;
  const Result<size_t> read = read_journal(*text, contents);
  if (!read) return std::unexpected(read.error());
  placement_ = std::move(contents.placement);
  published_.replace(std::move(contents.entries));
  return {};
}

void LastCopy::follow(std::unique_ptr<StateWatch> watch) {
  scope_.spawn(run(std::move(watch)));
  scope_.spawn(keep());
}

Task<void> LastCopy::close() {
  stopped_.set();
  changed_.set();
  published_.close();
  co_await scope_.join();
}

void LastCopy::place(const Placement& placement) {
  if (placement.generation <= placement_.generation) return;
  placement_ = placement;
  changed_.set();
}

Task<void> LastCopy::run(std::unique_ptr<StateWatch> watch) {
  while (!stopped_.is_set()) {
    const Result<Changes> changes = co_await watch->next(reactor_.now() + kAskMax);
    if (changes) {
      heard_ = reactor_.now();
      if (published_.follow(*changes)) changed_.set();
    } else if (changes.error().code == Code::kTimeout) {
      heard_ = reactor_.now();
    } else {
      const Result<void> stopped = co_await stopped_.wait_until(reactor_.now() + kRetryPause);
      (void)stopped;
    }
  }
}

// Writes the copy after each change, not more often than every kWritePause.
Task<void> LastCopy::keep() {
  while (!stopped_.is_set()) {
    co_await changed_.wait();
    changed_.reset();
    const Result<void> paused = co_await stopped_.wait_until(reactor_.now() + kWritePause);
    (void)paused;
    if (published_.entries().version() == 0) continue;
    Record record{.begin = published_.entries().list(""), .placement = placement_};
    Save save(path_, std::move(record));
    const bool ran = co_await disk_.call(save);
    ASSERT(ran);
    if (!save.result)
      log_.warning("the copy of the shared state cannot be written",
                   {{"error", describe(save.result.error())}});
  }
}

}  // namespace terrace::cluster
