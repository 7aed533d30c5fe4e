#pragma once

#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "monitor/request_metrics.h"

// /metrics: the Prometheus text format, version 0.0.4
// (https://prometheus.io/docs/instrumenting/exposition_formats/).

namespace terrace::monitor {

inline constexpr std::string_view kExpositionType = "text/plain; version=0.0.4; charset=utf-8";

enum class MetricType : uint8_t { kCounter, kGauge, kHistogram };

struct Label {
  std::string_view name;   // [a-zA-Z_][a-zA-Z0-9_]*
  std::string_view value;  // any UTF-8
};
using Labels = std::initializer_list<Label>;

// Writes families one after the other; the samples of a family follow its
// head, as the format wants them.
class Exposition {
 public:
  explicit Exposition(std::string& out) : out_(out) {}

  void family(std::string_view name, MetricType type, std::string_view help);
  // Samples of the family that was begun last.
  void sample(Labels labels, uint64_t value);
  void sample(Labels labels, int64_t value);
  void sample(Labels labels, double value);
  // The buckets (cumulative, in seconds), the sum and the count.
  void histogram(Labels labels, const HistogramTotals& totals);

 private:
  void name_and_labels(std::string_view suffix, Labels labels, std::string_view bound = {});
  std::string& out_;
  std::string name_;
};

// The standard process_* metrics of this process, from /proc/self.
struct ProcessMetrics {
  double cpu_seconds = 0;
  uint64_t resident_bytes = 0;
  uint64_t virtual_bytes = 0;
  uint64_t descriptors = 0;
  uint64_t descriptors_max = 0;
  double start_seconds = 0;  // since 1970
};

// Reads a few files of /proc: well under a millisecond, for once per scrape.
ProcessMetrics read_process_metrics();

// What became of the backups of the embedded database.
struct BackupMetrics {
  bool success = false;     // of the last attempt
  double good_seconds = 0;  // when the last good one was begun, since 1970; 0: there is none
  double age_seconds = 0;   // of that one
  uint64_t bytes = 0;       // of that one
  double duration_seconds = 0;
};

// What is decided of one backend of a load balancer.
struct BackendMetrics {
  std::string pool;  // empty: of all that no pool takes
  std::string name;
  bool up = false;  // gets requests, or would if it did not stand by
  bool standby = false;
  uint32_t weight = 0;
};

// Everything that /metrics of one worker shows.
struct SiteMetrics {
  std::string site;
  std::string version;
  std::string release;  // of the app; empty without deploys
  RequestTotals requests;
  std::vector<InstanceTotals> instances;
  std::vector<BackendMetrics> backends;
  uint64_t access_lines_written = 0;
  uint64_t access_lines_dropped = 0;
  std::optional<BackupMetrics> backup;  // before the first attempt there is none
  ProcessMetrics process;
};

// Appends the whole page to `out`. docs/metrics.md lists what is in it.
void write_metrics(std::string& out, const SiteMetrics& metrics);

}  // namespace terrace::monitor
