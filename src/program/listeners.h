#pragma once

// The listening sockets of the site. The supervisor binds them and keeps them as
// long as the site wants the address: a worker that dies loses no connection that
// the kernel has queued. Supervisor's thread only.

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/descriptor.h"
#include "base/result.h"
#include "program/records.h"

namespace terrace::program {

class Listeners {
 public:
  struct Held {
    Purpose purpose = Purpose::kWeb;
    std::string requested;
    std::string bound;                // with the port that the kernel chose
    std::vector<Descriptor> sockets;  // with SO_REUSEPORT when there are several
  };

  // `sockets_per_address`: one for each reactor thread of the worker.
  explicit Listeners(uint32_t sockets_per_address) : sockets_per_address_(sockets_per_address) {}

  // Binds and listens; what is held already is only returned. kLimit above
  // kListenersMax.
  Result<const Held*> listen(Purpose purpose, std::string_view requested);
  // False when it was not held.
  bool unlisten(Purpose purpose, std::string_view requested);
  // What the program before us had bound.
  void adopt(Held held) { held_.push_back(std::move(held)); }
  void close() { held_.clear(); }
  const std::vector<Held>& held() const { return held_; }

 private:
  uint32_t sockets_per_address_;
  std::vector<Held> held_;
};

// As the record of its socket number `index`.
Listener record_of(const Listeners::Held& held, uint32_t index);

}  // namespace terrace::program
