#include "cluster/coordinator.h"

namespace terrace::cluster {

Coordinator::Coordinator(Reactor& reactor, const Snapshot& entries) : published_(reactor) {
  Snapshot first = entries;
  if (first.version == 0) first.version = 1;
  published_.replace(Entries(first));
}

Task<Result<std::optional<Entry>>> Coordinator::get(std::string key, Time) {
  using Got = Result<std::optional<Entry>>;
  if (!is_key(key)) return Task<Got>::ready(fail(Code::kInvalid, "state", "not a key"));
  const Entry* entry = published_.entries().find(key);
  return Task<Got>::ready(entry == nullptr ? std::optional<Entry>() : *entry);
}

Task<Result<Snapshot>> Coordinator::list(std::string prefix, Time) {
  using Got = Result<Snapshot>;
  if (!is_prefix(prefix)) return Task<Got>::ready(fail(Code::kInvalid, "state", "not a prefix of keys"));
  return Task<Got>::ready(published_.entries().list(prefix));
}

Task<Committed> Coordinator::commit(Commit commit, Time) {
  const Committed judged = published_.entries().judge(commit);
  if (judged.done()) published_.write(commit);
  return Task<Committed>::ready(judged);
}

}  // namespace terrace::cluster
