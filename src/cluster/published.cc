#include "cluster/published.h"

#include <utility>

namespace terrace::cluster {
namespace {

class PublishedWatch final : public StateWatch {
 public:
  PublishedWatch(Published& published, std::string prefix)
      : published_(published), prefix_(std::move(prefix)) {}

  Task<Result<Changes>> next(Time deadline) override {
    Result<Changes> changes = co_await published_.wait(prefix_, since_, deadline);
    if (changes) since_ = changes->version;
    co_return changes;
  }

 private:
  Published& published_;
  std::string prefix_;
  Version since_ = 0;
};

}  // namespace

void Published::tell() {
  changed_.set();
  changed_.reset();
}

void Published::replace(Entries entries) {
  entries_ = std::move(entries);
  tell();
}

void Published::write(const Commit& commit) {
  entries_.write(commit);
  tell();
}

bool Published::follow(const Changes& changes) {
  const Version before = entries_.version();
  if (!entries_.follow(changes)) return false;
  if (entries_.version() != before) tell();
  return true;
}

Task<Result<Changes>> Published::wait(std::string prefix, Version since, Time deadline) {
  for (;;) {
    if (closed_) co_return fail(Code::kCancelled, "watch");
    // Version 0 is a copy that holds nothing yet: there is no moment to show.
    if (entries_.version() > 0 && entries_.changed_since(prefix, since))
      co_return entries_.since(prefix, since);
    const Result<void> changed = co_await changed_.wait_until(deadline);
    if (!changed) co_return std::unexpected(changed.error());
  }
}

std::unique_ptr<StateWatch> Published::watch(std::string prefix) {
  return std::make_unique<PublishedWatch>(*this, std::move(prefix));
}

void Published::close() {
  closed_ = true;
  tell();
}

}  // namespace terrace::cluster
