// The floor for static files: one recv and one send per request, and nothing is
// parsed: whatever arrives in one read counts as a request. With --file the body
// comes from that file by sendfile, as a web server would send a large one.

#include <fcntl.h>
#include <sys/stat.h>

#include <csignal>

#include "bench/answer.h"
#include "bench/arguments.h"
#include "bench/payload.h"

namespace terrace::bench {
namespace {

constexpr char kUsage[] = "usage: floor_static --listen 127.0.0.1:PORT [--bytes 1024] [--file PATH]\n";

Answer answer_of(const Arguments& arguments) {
  if (!arguments.has("--file")) return {.bytes = response_of(arguments.whole("--bytes", 1024))};
  const std::string path = arguments.text("--file", "");
  Answer answer{.file = Descriptor(open(path.c_str(), O_RDONLY | O_CLOEXEC))};
  struct stat status{};
  if (fstat(answer.file.get(), &status) != 0) arguments.refuse("cannot open " + path);
  answer.file_bytes = static_cast<size_t>(status.st_size);
  const std::string response = response_of(answer.file_bytes);
  answer.bytes = response.substr(0, response.size() - answer.file_bytes);
  return answer;
}

}  // namespace
}  // namespace terrace::bench

int main(int count, char** values) {
  using namespace terrace::bench;
  const Arguments arguments(count, values, kUsage);
  const Answer answer = answer_of(arguments);
  // sendfile(2) has no MSG_NOSIGNAL.
  (void)std::signal(SIGPIPE, SIG_IGN);
  AnswerServer server(value_or_exit(listen_on(arguments.endpoint("--listen"))),
                      [&answer](std::string_view) { return &answer; });
  server.run();
}
