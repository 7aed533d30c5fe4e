// An origin that costs next to nothing: it looks at the path and at the end of
// the head and sends a prepared response. /10k and /100k answer 10,000 and
// 100,000 bytes, every other path 200. GET only, one request at a time on a
// connection. As an app of Terrace it listens where SOCKET or PORT says.

#include <cstdlib>

#include "bench/answer.h"
#include "bench/arguments.h"
#include "bench/payload.h"

namespace terrace::bench {
namespace {

constexpr char kUsage[] = "usage: backend [--listen 127.0.0.1:PORT|unix:PATH]\n";

Endpoint endpoint_of(const Arguments& arguments) {
  if (arguments.has("--listen")) return arguments.endpoint("--listen");
  if (const char* path = std::getenv("SOCKET")) {
    return value_or_exit(Endpoint::parse(std::string("unix:") + path));
  }
  const char* port = std::getenv("PORT");
  if (port == nullptr) arguments.refuse("neither --listen nor SOCKET nor PORT is given");
  return value_or_exit(Endpoint::parse(std::string("127.0.0.1:") + port));
}

struct Answers {
  Answer small{.bytes = response_of(200)};
  Answer medium{.bytes = response_of(10'000)};
  Answer large{.bytes = response_of(100'000)};

  const Answer* choose(std::string_view received) const {
    if (!received.ends_with("\r\n\r\n")) return nullptr;
    if (received.starts_with("GET /10k ")) return &medium;
    if (received.starts_with("GET /100k ")) return &large;
    return &small;
  }
};

}  // namespace
}  // namespace terrace::bench

int main(int count, char** values) {
  using namespace terrace::bench;
  const Arguments arguments(count, values, kUsage);
  const Answers answers;
  AnswerServer server(value_or_exit(listen_on(endpoint_of(arguments))),
                      [&answers](std::string_view received) { return answers.choose(received); });
  server.run();
}
