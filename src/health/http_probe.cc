#include "health/http_probe.h"

#include <charconv>
#include <string_view>

#include "net/stream.h"

namespace terrace::health {
namespace {

// A status line is far shorter; who sends more before its end does not speak HTTP.
constexpr size_t kStatusLineMax = 4096;

// RFC 9112 section 4: "HTTP/1.1 200 OK".
Result<int> status_of(std::string_view line) {
  constexpr size_t kStatusAt = 9;
  int status = 0;
  if (!line.starts_with("HTTP/1.") || line.size() < kStatusAt + 3)
    return fail(Code::kInvalid, "health", "not an HTTP answer");
  const char* begin = line.data() + kStatusAt;
  if (std::from_chars(begin, begin + 3, status).ptr != begin + 3 || status < 100)
    return fail(Code::kInvalid, "health", "not an HTTP status");
  return status;
}

Task<Result<int>> read_status(net::Stream& stream, Time deadline) {
  std::string line;
  for (;;) {
    char block[512];
    const Result<size_t> read = stream.read_now(block);
    if (read && *read == 0) co_return fail(Code::kClosed, "health");
    if (read) line.append(block, *read);
    if (const size_t end = line.find("\r\n"); end != std::string::npos)
      co_return status_of(line.substr(0, end));
    if (line.size() > kStatusLineMax) co_return fail(Code::kInvalid, "health", "not an HTTP answer");
    if (read) continue;
    if (read.error().code != Code::kWouldBlock) co_return std::unexpected(read.error());
    const Result<void> readable = co_await stream.readable(deadline);
    if (!readable) co_return std::unexpected(readable.error());
  }
}

}  // namespace

Task<Result<int>> probe(Reactor& reactor, HttpProbe request) {
  const Time deadline = reactor.now() + request.limit;
  net::Stream stream;
  const Result<void> connected = co_await stream.connect(reactor, request.address, deadline);
  if (!connected) co_return std::unexpected(connected.error());
  const std::string text = "GET " + request.path + " HTTP/1.1\r\nHost: " + request.host +
                           "\r\nUser-Agent: terrace-health\r\nAccept: */*\r\nConnection: close\r\n\r\n";
  const Result<void> written = co_await stream.write_all(text, request.limit);
  if (!written) co_return std::unexpected(written.error());
  const Result<int> status = co_await read_status(stream, deadline);
  co_return status;
}

}  // namespace terrace::health
