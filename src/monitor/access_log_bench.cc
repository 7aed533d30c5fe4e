#include <benchmark/benchmark.h>
#include <fcntl.h>
#include <unistd.h>

#include "monitor/access_log.h"

// CPU time per line. Aim: below 0.4 µs for formatting; the rest is the kernel's.

namespace terrace::monitor {
namespace {

AccessRecord typical() {
  return {.time = WallTime(std::chrono::milliseconds(1'700'000'000'123)),
          .client = "203.0.113.77",
          .method = "GET",
          .host = "shop.example.com",
          .target = "/products/42?colour=blue&size=m",
          .protocol = "HTTP/1.1",
          .status = 200,
          .bytes_sent = 5120,
          .bytes_received = 612,
          .duration = std::chrono::microseconds(1834),
          .served_from = ServedFrom::kApp,
          .instance = "app-1",
          .request_id = "4f1c2a9be07d33518842aa01cd9e77f0",
          .user_agent =
              "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) "
              "Chrome/120.0.0.0 Safari/537.36",
          .referer = "https://shop.example.com/products"};
}

void write_lines(benchmark::State& state, AccessForm form, const char* path, int flags) {
  const int fd = open(path, O_WRONLY | O_APPEND | flags, 0600);
  AccessLog log(fd, form);
  AccessRecord record = typical();
  int lines = 0;
  for (auto _ : state) {
    record.time += std::chrono::microseconds(50);
    log.add(record);
    if (++lines % 100'000 == 0) (void)!ftruncate(fd, 0);
  }
  log.flush();
  close(fd);
}

BENCHMARK_CAPTURE(write_lines, json_format_only, AccessForm::kJson, "/dev/null", 0);
BENCHMARK_CAPTURE(write_lines, readable_format_only, AccessForm::kReadable, "/dev/null", 0);
BENCHMARK_CAPTURE(write_lines, json_to_file, AccessForm::kJson, "/tmp", O_TMPFILE);
BENCHMARK_CAPTURE(write_lines, readable_to_file, AccessForm::kReadable, "/tmp", O_TMPFILE);

}  // namespace
}  // namespace terrace::monitor
