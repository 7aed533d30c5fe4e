#include "monitor/exposition.h"

#include <gtest/gtest.h>

#include <cctype>
#include <cmath>
#include <fstream>
#include <map>
#include <optional>
#include <set>
#include <sstream>

namespace terrace::monitor {
namespace {

using LabelSet = std::map<std::string, std::string>;

struct Family {
  std::string type;
  std::string help;
  std::map<std::pair<std::string, LabelSet>, double> samples;  // by full name and labels
};

// Reads the text format 0.0.4 and accepts nothing that it does not allow: every
// sample under the head of its family, every series once, histograms complete.
class StrictParser {
 public:
  explicit StrictParser(const std::string& text) {
    EXPECT_TRUE(text.ends_with('\n'));
    std::istringstream stream(text);
    for (std::string line; std::getline(stream, line);) {
      SCOPED_TRACE(line);
      line.starts_with('#') ? head(line) : sample(line);
    }
    for (const auto& [name, family] : families_) {
      SCOPED_TRACE(name);
      if (family.type == "histogram") check_histogram(name, family);
      if (family.type == "counter") check_counter(family);
    }
  }

  double value(const std::string& name, const LabelSet& labels = {}) const {
    for (const auto& [family_name, family] : families_) {
      const auto found = family.samples.find({name, labels});
      if (found != family.samples.end()) return found->second;
    }
    ADD_FAILURE() << "no series " << name;
    return NAN;
  }
  const std::map<std::string, Family>& families() const { return families_; }

 private:
  static bool is_name(const std::string& text) {
    if (text.empty() || std::isdigit(static_cast<unsigned char>(text[0])) != 0) return false;
    return text.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_") ==
           std::string::npos;
  }

  void head(const std::string& line) {
    std::istringstream words(line);
    std::string hash, keyword, name, rest;
    words >> hash >> keyword >> name;
    std::getline(words, rest);
    rest.erase(0, 1);
    EXPECT_EQ(hash, "#");
    EXPECT_TRUE(is_name(name));
    if (keyword == "HELP") {
      EXPECT_FALSE(families_.contains(name)) << "twice";
      EXPECT_FALSE(rest.empty());
      families_[name].help = rest;
      current_ = name;
      return;
    }
    EXPECT_EQ(keyword, "TYPE");
    EXPECT_EQ(name, current_) << "TYPE does not follow its HELP";
    EXPECT_TRUE((std::set<std::string>{"counter", "gauge", "histogram"}.contains(rest)));
    families_[name].type = rest;
  }

  // name{label="value",…} number
  void sample(const std::string& line) {
    size_t at = line.find_first_of("{ ");
    ASSERT_NE(at, std::string::npos);
    const std::string name = line.substr(0, at);
    EXPECT_TRUE(is_name(name));
    LabelSet labels;
    if (line[at] == '{') {
      do {
        ++at;
        const std::optional<std::pair<std::string, std::string>> label = read_label(line, at);
        ASSERT_TRUE(label);
        EXPECT_TRUE(labels.insert(*label).second) << "label twice";
      } while (line[at] == ',');
      ASSERT_EQ(line[at++], '}');
    }
    ASSERT_EQ(line[at++], ' ');
    size_t used = 0;
    const double number = std::stod(line.substr(at), &used);
    EXPECT_EQ(at + used, line.size());
    Family& family = families_[current_];
    EXPECT_TRUE(belongs(name, family.type)) << "not of the family " << current_;
    EXPECT_TRUE(family.samples.emplace(std::pair(name, labels), number).second) << "series twice";
  }

  bool belongs(const std::string& name, const std::string& type) const {
    if (type != "histogram") return name == current_;
    return name == current_ + "_bucket" || name == current_ + "_sum" || name == current_ + "_count";
  }

  // Leaves `at` behind the closing quote.
  static std::optional<std::pair<std::string, std::string>> read_label(const std::string& line, size_t& at) {
    const size_t equals = line.find("=\"", at);
    if (equals == std::string::npos || !is_name(line.substr(at, equals - at))) return std::nullopt;
    const std::string name = line.substr(at, equals - at);
    std::string value;
    for (at = equals + 2; at < line.size() && line[at] != '"'; ++at) {
      if (line[at] == '\\') {
        ++at;
        if (at == line.size() || std::string("\\\"n").find(line[at]) == std::string::npos)
          return std::nullopt;
        value += line[at] == 'n' ? '\n' : line[at];
      } else {
        value += line[at];
      }
    }
    if (at++ >= line.size()) return std::nullopt;
    return std::pair(name, value);
  }

  static void check_counter(const Family& family) {
    for (const auto& [series, number] : family.samples) {
      EXPECT_TRUE(series.first.ends_with("_total"));
      EXPECT_GE(number, 0);
    }
  }

  // Per label set: buckets that only grow, up to +Inf, which is the count.
  static void check_histogram(const std::string& name, const Family& family) {
    std::map<LabelSet, std::map<double, double>> buckets;
    for (const auto& [series, number] : family.samples) {
      if (series.first != name + "_bucket") continue;
      LabelSet labels = series.second;
      ASSERT_TRUE(labels.contains("le"));
      const double bound = std::stod(labels["le"]);
      labels.erase("le");
      EXPECT_TRUE(buckets[labels].emplace(bound, number).second);
    }
    EXPECT_FALSE(buckets.empty());
    for (const auto& [labels, by_bound] : buckets) {
      double before = 0;
      for (const auto& [bound, number] : by_bound) {
        EXPECT_GE(number, before);
        before = number;
      }
      EXPECT_TRUE(std::isinf(by_bound.rbegin()->first));
      EXPECT_TRUE(family.samples.contains({name + "_sum", labels}));
      const auto count = family.samples.find({name + "_count", labels});
      ASSERT_NE(count, family.samples.end());
      EXPECT_EQ(count->second, by_bound.rbegin()->second);
    }
  }

  std::map<std::string, Family> families_;
  std::string current_;
};

std::string page_of(const SiteMetrics& metrics) {
  std::string text;
  write_metrics(text, metrics);
  return text;
}

TEST(Exposition, AnIdleSiteIsAValidPageWithItsZeros) {
  const StrictParser page(page_of({.site = "shop", .version = "0.1.0"}));
  EXPECT_EQ(page.value("terrace_build_info", {{"version", "0.1.0"}, {"site", "shop"}, {"release", ""}}), 1);
  EXPECT_EQ(page.value("terrace_http_requests_total", {{"code", "5xx"}, {"served_from", "app"}}), 0);
  EXPECT_EQ(page.value("terrace_http_request_duration_seconds_count"), 0);
  EXPECT_EQ(page.value("terrace_http_heads_refused_total", {{"status", "431"}}), 0);
  EXPECT_FALSE(page.families().contains("terrace_instance_up"));
}

TEST(Exposition, RequestsAreSummedOverTheCores) {
  RequestMetrics first;
  RequestMetrics second;
  first.finished({200, ServedFrom::kApp, std::chrono::milliseconds(3)});
  second.finished({200, ServedFrom::kApp, std::chrono::milliseconds(30)});
  second.finished({404, ServedFrom::kStatic, std::chrono::seconds(20)});
  second.finished({99, ServedFrom::kError, {}});
  first.in_flight.add(3);
  second.in_flight.subtract(1);
  first.refused(431);
  second.refused(431);
  second.refused(499);
  const std::array<const RequestMetrics*, 2> cores = {&first, &second};
  const RequestTotals totals = sum(cores);
  EXPECT_EQ(totals.requests_count(), 4U);
  EXPECT_EQ(totals.errors_count(), 0U);

  const StrictParser page(page_of({.requests = totals}));
  EXPECT_EQ(page.value("terrace_http_requests_total", {{"code", "2xx"}, {"served_from", "app"}}), 2);
  EXPECT_EQ(page.value("terrace_http_requests_total", {{"code", "4xx"}, {"served_from", "static"}}), 1);
  EXPECT_EQ(page.value("terrace_http_requests_total", {{"code", "other"}, {"served_from", "error"}}), 1);
  EXPECT_EQ(page.value("terrace_http_requests_in_flight"), 2);
  EXPECT_EQ(page.value("terrace_http_heads_refused_total", {{"status", "431"}}), 2);
  EXPECT_EQ(page.value("terrace_http_heads_refused_total", {{"status", "other"}}), 1);
  EXPECT_EQ(page.value("terrace_http_request_duration_seconds_bucket", {{"le", "0.0025"}}), 1);
  EXPECT_EQ(page.value("terrace_http_request_duration_seconds_bucket", {{"le", "0.005"}}), 2);
  EXPECT_EQ(page.value("terrace_http_request_duration_seconds_bucket", {{"le", "10"}}), 3);
  EXPECT_EQ(page.value("terrace_http_request_duration_seconds_bucket", {{"le", "+Inf"}}), 4);
  EXPECT_DOUBLE_EQ(page.value("terrace_http_request_duration_seconds_sum"), 20.033);
}

TEST(Exposition, EveryBoundHasTheNameOfItsSeconds) {
  RequestMetrics core;
  for (const int64_t bound : Histogram::kBoundsMicroseconds)
    core.duration.observe(std::chrono::microseconds(bound));
  RequestTotals totals;
  totals.add(core);
  const StrictParser page(page_of({.requests = totals}));
  double expected = 1;
  const Family& family = page.families().at("terrace_http_request_duration_seconds");
  for (const int64_t bound : Histogram::kBoundsMicroseconds) {
    double found = -1;
    for (const auto& [series, number] : family.samples) {
      const auto le = series.second.find("le");
      if (le != series.second.end() &&
          std::abs(std::stod(le->second) - static_cast<double>(bound) / 1e6) < 1e-9) {
        found = number;
      }
    }
    EXPECT_EQ(found, expected++) << bound;
  }
}

TEST(Exposition, EachInstanceHasItsOwnSeries) {
  Histogram core;
  core.observe(std::chrono::milliseconds(1));
  InstanceTotals one{.name = "app-1",
                     .up = true,
                     .restarts = 3,
                     .requests = 14,
                     .errors = 4,
                     .duration = {},
                     .in_flight = 2};
  one.duration.add(core);
  one.duration.add(core);
  const StrictParser page(page_of({.instances = {one, {.name = "app-2"}}}));
  EXPECT_EQ(page.value("terrace_instance_requests_total", {{"instance", "app-1"}}), 14);
  EXPECT_EQ(page.value("terrace_instance_errors_total", {{"instance", "app-1"}}), 4);
  EXPECT_EQ(page.value("terrace_instance_requests_in_flight", {{"instance", "app-1"}}), 2);
  EXPECT_EQ(page.value("terrace_instance_restarts_total", {{"instance", "app-1"}}), 3);
  EXPECT_EQ(page.value("terrace_instance_up", {{"instance", "app-1"}}), 1);
  EXPECT_EQ(page.value("terrace_instance_up", {{"instance", "app-2"}}), 0);
  EXPECT_EQ(page.value("terrace_instance_request_duration_seconds_count", {{"instance", "app-1"}}), 2);
}

// Rows of the tables begin with "| `name` | type |".
std::map<std::string, std::string> documented_metrics() {
  std::ifstream file(TERRACE_SOURCE_DIR "/docs/metrics.md");
  std::map<std::string, std::string> types;
  for (std::string line; std::getline(file, line);) {
    const size_t end = line.find("` | ");
    if (!line.starts_with("| `") || end == std::string::npos) continue;
    const size_t type = end + 4;
    types[line.substr(3, end - 3)] = line.substr(type, line.find(' ', type) - type);
  }
  return types;
}

TEST(Exposition, BackupsHaveSeriesOnceOneWasTried) {
  const StrictParser none(page_of({}));
  EXPECT_FALSE(none.families().contains("terrace_backup_success"));
  const StrictParser failed(page_of({.backup = BackupMetrics{.success = false}}));
  EXPECT_EQ(failed.value("terrace_backup_success"), 0);
  EXPECT_FALSE(failed.families().contains("terrace_backup_age_seconds"));
  const StrictParser good(page_of(
      {.backup = BackupMetrics{.success = true, .good_seconds = 1, .age_seconds = 90, .bytes = 4096}}));
  EXPECT_EQ(good.value("terrace_backup_success"), 1);
  EXPECT_EQ(good.value("terrace_backup_age_seconds"), 90);
  EXPECT_EQ(good.value("terrace_backup_size_bytes"), 4096);
}

TEST(Exposition, BackendsOfALoadBalancerHaveSeries) {
  EXPECT_FALSE(StrictParser(page_of({})).families().contains("terrace_backend_up"));
  const std::string page = page_of({.backends = {{.pool = "", .name = "web1", .up = true, .weight = 2},
                                                 {.pool = "api", .name = "web2", .standby = true}}});
  EXPECT_NE(page.find("terrace_backend_up{pool=\"\",backend=\"web1\"} 1\n"), std::string::npos);
  EXPECT_NE(page.find("terrace_backend_weight{pool=\"\",backend=\"web1\"} 2\n"), std::string::npos);
  EXPECT_NE(page.find("terrace_backend_up{pool=\"api\",backend=\"web2\"} 0\n"), std::string::npos);
  EXPECT_NE(page.find("terrace_backend_standby{pool=\"api\",backend=\"web2\"} 1\n"), std::string::npos);
}

TEST(Exposition, TheManualListsExactlyTheseMetrics) {
  const StrictParser page(page_of({.instances = {{.name = "app-1"}},
                                   .backends = {{.name = "web1"}},
                                   .backup = BackupMetrics{.good_seconds = 1'795'000'000}}));
  std::map<std::string, std::string> shown;
  for (const auto& [name, family] : page.families()) shown[name] = family.type;
  EXPECT_EQ(documented_metrics(), shown);
}

TEST(Exposition, LabelValuesAreEscaped) {
  const std::string name = "a\"b\\c\nd";
  const StrictParser page(page_of({.instances = {{.name = name}}}));
  EXPECT_EQ(page.value("terrace_instance_up", {{"instance", name}}), 0);
}

TEST(ProcessMetrics, DescribeThisProcess) {
  const ProcessMetrics process = read_process_metrics();
  EXPECT_GT(process.resident_bytes, 1U << 20);
  EXPECT_GE(process.virtual_bytes, process.resident_bytes);
  EXPECT_GE(process.descriptors, 3U);
  EXPECT_GE(process.descriptors_max, process.descriptors);
  const double now = static_cast<double>(time(nullptr));
  EXPECT_GT(process.start_seconds, now - 3600);
  EXPECT_LT(process.start_seconds, now + 5);
  EXPECT_GE(process.cpu_seconds, 0);
}

}  // namespace
}  // namespace terrace::monitor
