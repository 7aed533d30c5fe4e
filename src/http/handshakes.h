#pragma once

#include <cstddef>
#include <vector>

#include "net/address.h"

namespace terrace::http {

// A connection that has not proved yet who it is.
struct Handshake {
  net::Ip from;
  bool expected = false;  // somebody who may be let in is known to come from there
  bool crowded_out = false;

  // It ends soon, but not before this returns.
  virtual void crowd_out() = 0;

 protected:
  ~Handshake() = default;
};

// Those that are under way on one core. Who only opens connections and says nothing costs us
// memory and gets in nobody's way: such connections are few and have a limit of their own, and
// when it is reached the oldest one goes, so that whoever answers within a moment gets through.
// Of one address only a part of them may be; and where somebody is expected from nobody
// is ended for strangers. Adding is linear in their number.
class Handshakes {
 public:
  struct Limits {
    size_t total = 256;
    size_t of_one_address = 64;  // where nobody is expected from; else as many as there may be
  };

  Handshakes() { under_way_.reserve(Limits().total); }

  // May crowd out another one, which then counts no more. Each is removed before it ends.
  void add(Handshake& one);
  void remove(Handshake& one);
  size_t size() const { return under_way_.size(); }
  void set_limits(const Limits& limits) { limits_ = limits; }

 private:
  Handshake* one_too_many(const Handshake& newcomer) const;

  Limits limits_;
  std::vector<Handshake*> under_way_;  // the oldest first
};

}  // namespace terrace::http
