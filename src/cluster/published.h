#pragma once

#include "cluster/entries.h"
#include "reactor/mailbox.h"

namespace terrace::cluster {

// Entries of this process that others follow: every watch of a coordinator, and of a
// copy of somebody else's state, stands on one of these.
class Published {
 public:
  explicit Published(Reactor& reactor) : reactor_(reactor), changed_(reactor) {}
  Reactor& reactor() const { return reactor_; }

  const Entries& entries() const { return entries_; }
  void replace(Entries entries);
  void write(const Commit& commit);
  // As Entries::follow().
  bool follow(const Changes& changes);

  // Waits until something under `prefix` happened after `since` and tells it; at once
  // when it has. kTimeout at the deadline, kCancelled after close().
  Task<Result<Changes>> wait(std::string prefix, Version since, Time deadline);
  // A watch of these entries; it must not outlive them.
  std::unique_ptr<StateWatch> watch(std::string prefix);
  // Who waits, now or later, gets kCancelled.
  void close();

 private:
  void tell();
  Reactor& reactor_;
  Entries entries_;
  Event changed_;
  bool closed_ = false;
};

}  // namespace terrace::cluster
