#include "lb/hop_check.h"

#include <chrono>

namespace terrace::lb {
namespace {

health::CheckResult failure(const Error& error, Duration limit) {
  if (error.code != Code::kTimeout) return {.reason = describe(error)};
  const auto milliseconds = std::chrono::duration_cast<std::chrono::milliseconds>(limit).count();
  return {.reason = "no answer within " + std::to_string(milliseconds) + " ms", .silent = true};
}

}  // namespace

Task<health::CheckResult> check_over(Reactor& reactor, Hop& hop, health::Check check) {
  const Time deadline = reactor.now() + check.probe.limit;
  const Result<http::Http2ClientConnection*> reached = co_await hop.reach(false, deadline);
  if (!reached) co_return failure(reached.error(), check.probe.limit);
  if (check.kind == health::Check::Kind::kTcp)
    co_return health::CheckResult{.success = true, .reason = "takes connections"};
  http::RequestHead head;
  head.method_text = "GET";
  head.target = check.probe.path;
  head.authority = check.probe.host;
  http::Http2ClientRequest request(reactor);
  Result<void> answered = request.start(**reached, {.head = head, .scheme = "https"});
  if (answered) answered = co_await request.read_head(deadline);
  if (!answered) co_return failure(answered.error(), check.probe.limit);
  const int status = request.head().status;
  co_return health::CheckResult{.success = status >= check.status_min && status <= check.status_max,
                                .reason = "answers " + std::to_string(status)};
}

}  // namespace terrace::lb
