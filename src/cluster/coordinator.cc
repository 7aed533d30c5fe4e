#include "cluster/coordinator.h"

#include <utility>

namespace terrace::cluster {
namespace {

Committed unavailable(const char* text) { return {.outcome = Outcome::kUnavailable, .text = text}; }

size_t bytes_of(const Commit& commit) {
  size_t bytes = 0;
  for (const Write& write : commit.writes)
    bytes += write.key.size() + (write.value ? write.value->size() : 0);
  return bytes;
}

}  // namespace

// A commit, or a change of placement, on its way to the disk.
struct Coordinator::Pending {
  explicit Pending(Reactor& reactor) : done(reactor) {}
  Commit commit;
  std::optional<Placement> placement;
  bool moving = false;
  Event done;
  Committed result;
  bool begun = false;      // the disk may have it
  bool abandoned = false;  // nobody waits any more
};

class Coordinator::Append final : public Offload::Work {
 public:
  Append(Journal& journal, Record record) : journal_(journal), record_(std::move(record)) {}
  void run() override { result = record_.begin ? journal_.begin_anew(record_) : journal_.append(record_); }
  Result<void> result;

 private:
  Journal& journal_;
  Record record_;
};

Coordinator::Coordinator(Reactor& reactor, const Log& log, const Snapshot& entries)
    : Coordinator(reactor, log, nullptr, Journal::Contents{.entries = Entries(entries)}) {}

Coordinator::Coordinator(Reactor& reactor, const Log& log, std::unique_ptr<Journal> journal,
                         Journal::Contents contents)
    : reactor_(reactor),
      log_(log),
      published_(reactor),
      placement_(std::move(contents.placement)),
      moving_(contents.moving),
      journal_(std::move(journal)),
      disk_(reactor, 1),
      wake_(reactor) {
  if (contents.entries.version() == 0) contents.entries = Entries(Snapshot{.version = 1});
  published_.replace(std::move(contents.entries));
  scope_.spawn(run());
}

Task<void> Coordinator::close() {
  closing_ = true;
  published_.close();
  wake_.set();
  co_await scope_.join();
}

const char* Coordinator::objection() const {
  if (closing_) return "the coordinator stops";
  if (moving_) return "the shared state is being moved";
  if (behind_) return "the coordinator's disk is older than what the site has seen";
  if (failed()) return "the coordinator's disk failed";
  return nullptr;
}

void Coordinator::seen(Version version) {
  const Version ours = published_.entries().version();
  if (version <= ours || behind_) return;
  behind_ = true;
  log_.error("this server's shared state is older than what it has told: was an old disk put back?",
             {{"version", ours}, {"seen", version}});
}

Task<Result<std::optional<Entry>>> Coordinator::get(std::string key, Time) {
  using Got = Result<std::optional<Entry>>;
  if (!is_key(key)) return Task<Got>::ready(fail(Code::kInvalid, "state", "not a key"));
  if (const char* why = objection()) return Task<Got>::ready(fail(Code::kUnavailable, "state", why));
  const Entry* entry = published_.entries().find(key);
  return Task<Got>::ready(entry == nullptr ? std::optional<Entry>() : *entry);
}

Task<Result<Snapshot>> Coordinator::list(std::string prefix, Time) {
  using Got = Result<Snapshot>;
  if (!is_prefix(prefix)) return Task<Got>::ready(fail(Code::kInvalid, "state", "not a prefix of keys"));
  if (const char* why = objection()) return Task<Got>::ready(fail(Code::kUnavailable, "state", why));
  return Task<Got>::ready(published_.entries().list(prefix));
}

Task<Committed> Coordinator::commit(Commit commit, Time deadline) {
  if (const char* why = objection()) return Task<Committed>::ready(unavailable(why));
  auto pending = std::make_shared<Pending>(reactor_);
  pending->commit = std::move(commit);
  return enqueue(std::move(pending), deadline);
}

Task<Committed> Coordinator::place(Placement placement, bool moving, Time deadline) {
  auto pending = std::make_shared<Pending>(reactor_);
  pending->placement = std::move(placement);
  pending->moving = moving;
  return enqueue(std::move(pending), deadline);
}

Task<Committed> Coordinator::enqueue(std::shared_ptr<Pending> pending, Time deadline) {
  if (closing_ || failed()) co_return unavailable(objection());
  const size_t bytes = bytes_of(pending->commit);
  if (waiting_.size() >= kWaitingMax || waiting_bytes_ + bytes > kWaitingBytesMax)
    co_return unavailable("too many commits wait");
  waiting_bytes_ += bytes;
  waiting_.push_back(pending);
  wake_.set();
  const Result<void> done = co_await pending->done.wait_until(deadline);
  if (done) co_return std::move(pending->result);
  pending->abandoned = true;
  if (!pending->begun) co_return unavailable("the coordinator's disk is slow");
  co_return Committed{.outcome = Outcome::kUnknown, .text = "the coordinator's disk did not answer in time"};
}

// One at a time: what is judged is what is on disk.
Task<void> Coordinator::run() {
  for (;;) {
    if (waiting_.empty()) {
      if (closing_) co_return;
      co_await wake_.wait();
      wake_.reset();
      continue;
    }
    const std::shared_ptr<Pending> pending = std::move(waiting_.front());
    waiting_.pop_front();
    waiting_bytes_ -= bytes_of(pending->commit);
    if (pending->abandoned) continue;
    co_await decide(*pending);
    pending->done.set();
  }
}

Task<void> Coordinator::decide(Pending& pending) {
  if (pending.placement) {
    pending.result = {.outcome = Outcome::kDone, .version = published_.entries().version()};
  } else if (const char* why = objection()) {
    pending.result = unavailable(why);
  } else {
    pending.result = published_.entries().judge(pending.commit);
  }
  if (!pending.result.done()) co_return;
  pending.begun = true;
  Record record{.placement = pending.placement, .moving = pending.moving};
  if (!pending.placement) record.version = pending.result.version;
  if (!pending.placement) record.writes = pending.commit.writes;
  const Result<void> written = co_await write(std::move(record));
  if (!written) {
    pending.result = {.outcome = failed() ? Outcome::kUnknown : Outcome::kUnavailable,
                      .text = describe(written.error())};
    co_return;
  }
  if (pending.placement) {
    // What has been moved to where it was to go is not ours any more: nobody reads or writes
    // here until we are closed.
    const bool moved = moving_ && *pending.placement == placement_;
    placement_ = *pending.placement;
    moving_ = pending.moving || moved;
  } else {
    published_.write(pending.commit);
  }
  co_await begin_anew();
}

Task<Result<void>> Coordinator::write(Record record) {
  if (journal_ == nullptr) co_return Result<void>();
  Append append(*journal_, std::move(record));
  const bool ran = co_await disk_.call(append);
  ASSERT(ran);
  if (!append.result)
    log_.error("the journal of the shared state cannot be written",
               {{"error", describe(append.result.error())}});
  co_return append.result;
}

// The journal is replaced when it has grown. That it fails is no loss: the old one is good.
Task<void> Coordinator::begin_anew() {
  if (journal_ == nullptr || !journal_->grown()) co_return;
  Record record{.begin = published_.entries().list(""), .placement = placement_, .moving = moving_};
  const Result<void> written = co_await write(std::move(record));
  (void)written;
}

}  // namespace terrace::cluster
