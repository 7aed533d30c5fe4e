#include "monitor/exposition.h"

#include <charconv>
#include <span>

namespace terrace::monitor {
namespace {

constexpr std::array<std::string_view, kCodeClasses> kCodeNames = {"other", "1xx", "2xx",
                                                                   "3xx",   "4xx", "5xx"};
// Histogram::kBoundsMicroseconds in seconds.
constexpr std::array<std::string_view, Histogram::kBuckets> kBoundNames = {
    "0.0005", "0.001", "0.0025", "0.005", "0.01", "0.025", "0.05", "0.1",
    "0.25",   "0.5",   "1",      "2.5",   "5",    "10",    "+Inf"};

std::string_view name_of(MetricType type) {
  switch (type) {
    case MetricType::kCounter:
      return "counter";
    case MetricType::kGauge:
      return "gauge";
    case MetricType::kHistogram:
      return "histogram";
  }
  return "untyped";
}

// Backslash and line feed in help texts; quotes, too, in label values.
void append_escaped(std::string& out, std::string_view text, bool quotes) {
  for (const char c : text) {
    if (c == '\n') {
      out += "\\n";
      continue;
    }
    if (c == '\\' || (quotes && c == '"')) out += '\\';
    out += c;
  }
}

template <class Number>
void append_number(std::string& out, Number number) {
  char text[32];
  out.append(text, std::to_chars(text, text + sizeof text, number).ptr);
}

}  // namespace

void Exposition::family(std::string_view name, MetricType type, std::string_view help) {
  name_ = name;
  out_ += "# HELP ";
  out_ += name_;
  out_ += ' ';
  append_escaped(out_, help, false);
  out_ += "\n# TYPE ";
  out_ += name_;
  out_ += ' ';
  out_ += name_of(type);
  out_ += '\n';
}

void Exposition::name_and_labels(std::string_view suffix, Labels labels, std::string_view bound) {
  out_ += name_;
  out_ += suffix;
  char before = '{';
  const auto append_label = [&](const Label& label) {
    out_ += before;
    out_ += label.name;
    out_ += "=\"";
    append_escaped(out_, label.value, true);
    out_ += '"';
    before = ',';
  };
  for (const Label& label : labels) append_label(label);
  if (!bound.empty()) append_label({"le", bound});
  if (before == ',') out_ += '}';
  out_ += ' ';
}

void Exposition::sample(Labels labels, uint64_t value) {
  name_and_labels("", labels);
  append_number(out_, value);
  out_ += '\n';
}

void Exposition::sample(Labels labels, int64_t value) {
  name_and_labels("", labels);
  append_number(out_, value);
  out_ += '\n';
}

void Exposition::sample(Labels labels, double value) {
  name_and_labels("", labels);
  append_number(out_, value);
  out_ += '\n';
}

void Exposition::histogram(Labels labels, const HistogramTotals& totals) {
  uint64_t count = 0;
  for (size_t i = 0; i < totals.buckets.size(); ++i) {
    count += totals.buckets[i];
    name_and_labels("_bucket", labels, kBoundNames[i]);
    append_number(out_, count);
    out_ += '\n';
  }
  name_and_labels("_sum", labels);
  append_number(out_, static_cast<double>(totals.sum_nanoseconds) / 1e9);
  out_ += '\n';
  name_and_labels("_count", labels);
  append_number(out_, count);
  out_ += '\n';
}

namespace {

void counter(Exposition& page, std::string_view name, std::string_view help, uint64_t value) {
  page.family(name, MetricType::kCounter, help);
  page.sample({}, value);
}

void gauge(Exposition& page, std::string_view name, std::string_view help, int64_t value) {
  page.family(name, MetricType::kGauge, help);
  page.sample({}, value);
}

// Every combination from the start, so that a rate has its first zero; 1xx and
// "other" only once there was one.
void write_requests_total(Exposition& page, const RequestTotals& totals) {
  page.family("terrace_http_requests_total", MetricType::kCounter,
              "Finished requests by class of the status and by what served them.");
  for (size_t code = 0; code < kCodeClasses; ++code) {
    for (size_t from = 0; from < kServedFromCount; ++from) {
      const uint64_t value = totals.requests[code][from];
      if (code < 2 && value == 0) continue;
      page.sample({{"code", kCodeNames[code]}, {"served_from", kServedFromNames[from]}}, value);
    }
  }
}

void write_heads_refused(Exposition& page, const RequestTotals& totals) {
  page.family("terrace_http_heads_refused_total", MetricType::kCounter,
              "Request heads that were refused before they became a request, by status.");
  for (size_t i = 0; i < kRefusedPlaces; ++i) {
    const std::string status = i < kRefusedStatuses.size() ? std::to_string(kRefusedStatuses[i]) : "other";
    page.sample({{"status", status}}, totals.heads_refused[i]);
  }
}

void write_http(Exposition& page, const RequestTotals& totals) {
  write_requests_total(page, totals);
  page.family("terrace_http_request_duration_seconds", MetricType::kHistogram,
              "From the first byte of a request to the last byte of its response.");
  page.histogram({}, totals.duration);
  gauge(page, "terrace_http_requests_in_flight", "Requests that are being answered.", totals.in_flight);
  gauge(page, "terrace_http_connections", "Open connections from clients.", totals.connections);
  gauge(page, "terrace_http_tunnels", "Open upgraded connections, such as WebSocket.", totals.tunnels);
  counter(page, "terrace_http_connections_accepted_total", "Connections accepted from clients.",
          totals.connections_accepted);
  counter(page, "terrace_http_connections_refused_total", "Connections closed at once because of the limit.",
          totals.connections_refused);
  counter(page, "terrace_hop_handshakes_crowded_out_total",
          "Handshakes of the hop given up because too many had not ended.", totals.handshakes_crowded_out);
  counter(page, "terrace_http_bytes_received_total", "Bytes of request bodies from clients.",
          totals.bytes_received);
  counter(page, "terrace_http_bytes_sent_total", "Bytes of response bodies to clients.", totals.bytes_sent);
  write_heads_refused(page, totals);
}

void write_queue_and_files(Exposition& page, const RequestTotals& totals) {
  gauge(page, "terrace_queue_length", "Requests that wait for an instance of the app, or for a backend.",
        totals.queue_length);
  counter(page, "terrace_queue_timeouts_total", "Requests answered 503 after waiting for the limit.",
          totals.queue_timeouts);
  counter(page, "terrace_queue_overflows_total", "Requests answered 503 at once because the queue was full.",
          totals.queue_overflows);
  counter(page, "terrace_app_retries_total",
          "Requests sent once more, after a failed connect or the death of an instance.", totals.retries);
  counter(page, "terrace_backend_retries_total", "Requests that the load balancer sent to a second backend.",
          totals.backend_retries);
  counter(page, "terrace_backend_failures_total",
          "Requests answered 502 or 504 by the load balancer: no backend gave an answer.",
          totals.backend_failures);
  counter(page, "terrace_clients_limited_total", "Requests answered 429 by the load balancer.",
          totals.clients_limited);
  counter(page, "terrace_clients_unlimited_total",
          "Requests not held to the limits: too many clients to count theirs.", totals.clients_unlimited);
  counter(page, "terrace_static_cache_hits_total", "Files whose metadata was in the cache.",
          totals.static_cache_hits);
  counter(page, "terrace_static_cache_misses_total", "Files whose metadata had to be read.",
          totals.static_cache_misses);
  counter(page, "terrace_static_cache_evictions_total", "Files taken out of the cache to make room.",
          totals.static_cache_evictions);
  gauge(page, "terrace_static_cache_entries", "Files whose metadata is in the cache.",
        totals.static_cache_entries);
  gauge(page, "terrace_static_cache_bytes", "Content of files in the cache.", totals.static_cache_bytes);
  counter(page, "terrace_static_loads_refused_total",
          "Requests answered 503 because too many files had to be read at once.",
          totals.static_loads_refused);
  counter(page, "terrace_static_compressions_total", "Files compressed on the fly, for the cache.",
          totals.static_compressions);
  counter(page, "terrace_worker_allocations_total",
          "Times that a pool of the worker went to the heap; constant in steady state.", totals.allocations);
}

// One family with one sample per instance, of the member that `value` gives.
template <class Value>
void per_instance(Exposition& page, std::span<const InstanceTotals> instances, Value value) {
  for (const InstanceTotals& instance : instances)
    page.sample({{"instance", instance.name}}, value(instance));
}

void write_instances(Exposition& page, std::span<const InstanceTotals> instances) {
  if (instances.empty()) return;
  page.family("terrace_instance_up", MetricType::kGauge, "Whether the instance takes requests.");
  per_instance(page, instances, [](const InstanceTotals& i) { return int64_t{i.up ? 1 : 0}; });
  page.family("terrace_instance_restarts_total", MetricType::kCounter, "Starts after the first.");
  per_instance(page, instances, [](const InstanceTotals& i) { return i.restarts; });
  page.family("terrace_instance_requests_total", MetricType::kCounter, "Requests sent to the instance.");
  per_instance(page, instances, [](const InstanceTotals& i) { return i.requests; });
  page.family("terrace_instance_errors_total", MetricType::kCounter,
              "Its responses with 5xx, broken or late responses and failed connects.");
  per_instance(page, instances, [](const InstanceTotals& i) { return i.errors; });
  page.family("terrace_instance_requests_in_flight", MetricType::kGauge,
              "Requests that the instance is answering.");
  per_instance(page, instances, [](const InstanceTotals& i) { return i.in_flight; });
  page.family("terrace_instance_request_duration_seconds", MetricType::kHistogram,
              "From sending a request to the instance to the end of its response.");
  for (const InstanceTotals& instance : instances) {
    page.histogram({{"instance", instance.name}}, instance.duration);
  }
}

void write_backup(Exposition& page, const BackupMetrics& backup) {
  page.family("terrace_backup_success", MetricType::kGauge, "Whether the last attempt made a good backup.");
  page.sample({}, static_cast<uint64_t>(backup.success ? 1 : 0));
  page.family("terrace_backup_duration_seconds", MetricType::kGauge, "What the last attempt took.");
  page.sample({}, backup.duration_seconds);
  if (backup.good_seconds <= 0) return;
  page.family("terrace_backup_last_success_timestamp_seconds", MetricType::kGauge,
              "When the last good backup was begun, since 1970.");
  page.sample({}, backup.good_seconds);
  page.family("terrace_backup_age_seconds", MetricType::kGauge, "Age of the last good backup.");
  page.sample({}, backup.age_seconds);
  page.family("terrace_backup_size_bytes", MetricType::kGauge, "Size of the last good backup.");
  page.sample({}, backup.bytes);
}

void write_backends(Exposition& page, const std::vector<BackendMetrics>& backends) {
  if (backends.empty()) return;
  page.family("terrace_backend_up", MetricType::kGauge, "Whether the load balancer may send requests to it.");
  for (const BackendMetrics& one : backends)
    page.sample({{"pool", one.pool}, {"backend", one.name}}, static_cast<uint64_t>(one.up ? 1 : 0));
  page.family("terrace_backend_standby", MetricType::kGauge, "Whether another one serves in its place.");
  for (const BackendMetrics& one : backends)
    page.sample({{"pool", one.pool}, {"backend", one.name}}, static_cast<uint64_t>(one.standby ? 1 : 0));
  page.family("terrace_backend_weight", MetricType::kGauge, "Its share, against the others.");
  for (const BackendMetrics& one : backends)
    page.sample({{"pool", one.pool}, {"backend", one.name}}, uint64_t{one.weight});
}

void write_process(Exposition& page, const ProcessMetrics& process) {
  page.family("process_cpu_seconds_total", MetricType::kCounter, "User and system CPU time of the worker.");
  page.sample({}, process.cpu_seconds);
  page.family("process_resident_memory_bytes", MetricType::kGauge, "Resident memory of the worker.");
  page.sample({}, process.resident_bytes);
  page.family("process_virtual_memory_bytes", MetricType::kGauge, "Virtual memory of the worker.");
  page.sample({}, process.virtual_bytes);
  page.family("process_open_fds", MetricType::kGauge, "Open file descriptors of the worker.");
  page.sample({}, process.descriptors);
  page.family("process_max_fds", MetricType::kGauge, "Limit of open file descriptors.");
  page.sample({}, process.descriptors_max);
  page.family("process_start_time_seconds", MetricType::kGauge, "When the worker started, since 1970.");
  page.sample({}, process.start_seconds);
}

}  // namespace

void write_metrics(std::string& out, const SiteMetrics& metrics) {
  Exposition page(out);
  page.family("terrace_build_info", MetricType::kGauge, "Always 1; what runs is in the labels.");
  page.sample({{"version", metrics.version}, {"site", metrics.site}, {"release", metrics.release}},
              int64_t{1});
  write_http(page, metrics.requests);
  write_queue_and_files(page, metrics.requests);
  write_instances(page, metrics.instances);
  write_backends(page, metrics.backends);
  counter(page, "terrace_access_log_lines_total", "Lines written to the access log.",
          metrics.access_lines_written);
  counter(page, "terrace_access_log_dropped_total", "Lines lost because the log could not be written.",
          metrics.access_lines_dropped);
  if (metrics.backup) write_backup(page, *metrics.backup);
  write_process(page, metrics.process);
}

}  // namespace terrace::monitor
