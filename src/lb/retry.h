#pragma once

#include "base/clock.h"

namespace terrace::lb {

// A try that failed, as far as it matters for another one.
struct FailedTry {
  bool idempotent = false;        // the method: RFC 9110 section 9.2.2
  bool perhaps_processed = true;  // false: no connection was made, or the peer said that it did
                                  // not look at the request (RFC 9113 section 8.7)
  bool body_gone = false;         // bytes of the body were sent that are not kept
  bool response_begun = false;    // the client has seen some of an answer
  int tries = 1;                  // so far, this one included
};

constexpr int kTriesMax = 3;

// Whether the same request may be sent to another backend without harm: nobody has done
// it yet, or doing it twice is doing it once; and there is all of it still to send.
bool may_retry(const FailedTry& failed);

// How many retries there may be: a share of the requests, so that a pool in trouble is not
// brought down by its own retries (Finagle's RetryBudget). Requests pay in, retries take
// out; what was not used in kMemory is lost. A few retries per second are free, for sites
// with few requests. One core's; one thread.
class RetryBudget {
 public:
  static constexpr Duration kMemory = std::chrono::seconds(10);
  struct Options {
    double share = 0.2;  // retries per request
    double free_per_second = 10;
  };

  RetryBudget(const Options& options, Time now);
  void set_options(const Options& options) { options_ = options; }
  // A first try is made.
  void request(Time now);
  // Takes one retry out; false when there is none. Not asked after a try of which nothing
  // was sent: it has cost its backend no work, and kTriesMax bounds it.
  bool retry(Time now);
  double balance() const { return balance_; }

 private:
  void forget(Time now);
  Options options_;
  double balance_ = 0;
  Time at_;
};

}  // namespace terrace::lb
