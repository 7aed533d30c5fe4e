#include "health/check.h"

#include <chrono>

#include "net/stream.h"

namespace terrace::health {
namespace {

std::string reason_of(const Error& error, Duration limit) {
  if (error.code != Code::kTimeout) return describe(error);
  const auto milliseconds = std::chrono::duration_cast<std::chrono::milliseconds>(limit).count();
  return "no answer within " + std::to_string(milliseconds) + " ms";
}

CheckResult failure(const Error& error, Duration limit) {
  return {.reason = reason_of(error, limit), .silent = error.code == Code::kTimeout};
}

Task<CheckResult> connect(Reactor& reactor, net::Address address, Duration limit) {
  net::Stream stream;
  const Result<void> connected = co_await stream.connect(reactor, address, reactor.now() + limit);
  if (!connected) co_return failure(connected.error(), limit);
  co_return CheckResult{.success = true, .reason = "takes connections"};
}

}  // namespace

Task<CheckResult> carry_out(Reactor& reactor, Check check) {
  if (check.kind == Check::Kind::kTcp) {
    CheckResult result = co_await connect(reactor, check.probe.address, check.probe.limit);
    co_return result;
  }
  const Duration limit = check.probe.limit;
  const Result<int> status = co_await probe(reactor, std::move(check.probe));
  if (!status) co_return failure(status.error(), limit);
  co_return CheckResult{.success = *status >= check.status_min && *status <= check.status_max,
                        .reason = "answers " + std::to_string(*status)};
}

}  // namespace terrace::health
