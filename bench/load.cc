// The load generator. Prints one JSON object; ends with 1 when any answer was not
// as expected. See Generator for what open and closed loop mean here.

#include <poll.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include <cstdio>

#include "bench/arguments.h"
#include "bench/generator.h"

namespace terrace::bench {
namespace {

constexpr char kUsage[] =
    "usage: load --to 127.0.0.1:PORT|unix:PATH [option value]...\n"
    "  --path /                 what to GET\n"
    "  --host localhost         the Host field\n"
    "  --connections 64         keep-alive connections\n"
    "  --sources 0              source addresses from 127.0.0.1 on; 0: no matter which\n"
    "  --seconds 0              how long; needed unless --requests or --idle is given\n"
    "  --requests 0             stop after as many\n"
    "  --rate 0                 requests a second, open loop; 0: closed loop\n"
    "  --status 200             the status expected\n"
    "  --bytes N                the length of body expected\n"
    "  --body payload           compare the body, too\n"
    "  --idle 0                 open as many connections, one request each, print, and\n"
    "                           hold them until standard input ends, then print again\n"
    "  --hold 60                seconds to hold them at most\n";

// What a common client sends with every request.
std::string request_of(const Arguments& arguments) {
  return "GET " + arguments.text("--path", "/") +
         " HTTP/1.1\r\nHost: " + arguments.text("--host", "localhost") +
         "\r\nUser-Agent: terrace-bench/1\r\nAccept: */*\r\n\r\n";
}

Duration seconds(double count) { return Duration(static_cast<int64_t>(count * 1e9)); }

LoadOptions options_of(const Arguments& arguments) {
  LoadOptions options{.to = arguments.endpoint("--to"), .request = request_of(arguments)};
  options.sources = static_cast<int>(arguments.whole("--sources", 0));
  options.expected.status = static_cast<int>(arguments.whole("--status", 200));
  if (arguments.has("--bytes")) options.expected.body_bytes = arguments.whole("--bytes", 0);
  options.expected.is_payload = arguments.text("--body", "") == "payload";
  options.connections = static_cast<int>(arguments.whole("--connections", 64));
  options.requests_max = arguments.whole("--requests", 0);
  options.time = seconds(arguments.number("--seconds", 0));
  options.rate = arguments.number("--rate", 0);
  if (options.connections < 1) arguments.refuse("--connections wants at least 1");
  // A count has no time of its own: a minute is its limit.
  if (options.time == Duration(0)) options.drain_max = std::chrono::minutes(1);
  return options;
}

void print_failures(const LoadReport& report) {
  std::printf("\"failed\": %lu, \"failures\": {", report.failed());
  const char* separator = "";
  for (size_t i = 0; i < kFailureNames.size(); ++i) {
    if (report.failures[i] == 0) continue;
    std::printf("%s\"%s\": %lu", separator, kFailureNames[i], report.failures[i]);
    separator = ", ";
  }
  std::printf("}");
}

void print_latency(const Histogram& latency) {
  const auto microseconds = [](Duration duration) { return static_cast<double>(duration.count()) / 1e3; };
  std::printf("\"latency_us\": {\"mean\": %.1f", latency.mean_nanoseconds() / 1e3);
  for (const double percent : {50.0, 90.0, 99.0, 99.9}) {
    std::printf(", \"p%g\": %.1f", percent, microseconds(latency.percentile(percent / 100)));
  }
  std::printf(", \"max\": %.1f}", microseconds(latency.max()));
}

double cpu_seconds() {
  rusage usage{};
  (void)getrusage(RUSAGE_SELF, &usage);
  const auto total = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
  };
  return total(usage.ru_utime) + total(usage.ru_stime);
}

void print(const LoadReport& report) {
  const double elapsed = static_cast<double>(report.elapsed.count()) / 1e9;
  std::printf("{\"answered\": %lu, ", report.answered);
  print_failures(report);
  std::printf(", \"reconnects\": %lu, \"open\": %lu, \"seconds\": %.4f, \"per_second\": %.1f, ",
              report.reconnects, report.open_at_end, elapsed, static_cast<double>(report.answered) / elapsed);
  print_latency(report.latency);
  std::printf(", \"own_cpu_seconds\": %.3f}\n", cpu_seconds());
  (void)std::fflush(stdout);
}

int run_load(const Arguments& arguments) {
  const LoadOptions options = options_of(arguments);
  if (options.time == Duration(0) && options.requests_max == 0) {
    arguments.refuse("--seconds, --requests or --idle is needed");
  }
  Generator generator(options);
  if (!generator.connect_all()) exit_with(fail_system("connect").error());
  const LoadReport report = generator.run();
  print(report);
  return report.failed() == 0 ? 0 : 1;
}

int run_idle(const Arguments& arguments) {
  LoadOptions options = options_of(arguments);
  options.connections = static_cast<int>(arguments.whole("--idle", 0));
  Generator generator(options);
  constexpr int kWindow = 16;
  LoadReport report = generator.run_once_each(kWindow);
  print(report);
  pollfd input{.fd = 0, .events = POLLIN, .revents = 0};
  (void)::poll(&input, 1, static_cast<int>(arguments.number("--hold", 60) * 1000));
  report.open_at_end = generator.count_open();
  print(report);
  return report.failed() == 0 ? 0 : 1;
}

}  // namespace
}  // namespace terrace::bench

int main(int count, char** values) {
  using namespace terrace::bench;
  const Arguments arguments(count, values, kUsage);
  // The default of 50 µs would make every request of an open loop late.
  (void)prctl(PR_SET_TIMERSLACK, 1);
  return arguments.has("--idle") ? run_idle(arguments) : run_load(arguments);
}
