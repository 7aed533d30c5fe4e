#include "program/log_query.h"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

#include "program/json_value.h"
#include "program/log_history.h"
#include "program/log_line.h"
#include "reactor/offload.h"

namespace terrace::program {
namespace {

using Json = nlohmann::json;

constexpr std::array<std::string_view, 3> kLogs = {"app", "access", "terrace"};
constexpr int64_t kLinesMax = 100'000;

class Query final : public Offload::Work {
 public:
  Query(std::string folder, const Json& json, size_t bytes_max)
      : folder_(std::move(folder)), bytes_max_(bytes_max) {
    logs_ = value_of<std::vector<std::string>>(json, "logs");
    filter_ = {
        .instance = value_of<std::string>(json, "instance"),
        .release = static_cast<uint32_t>(std::clamp<int64_t>(value_of<int64_t>(json, "release"), 0, 1 << 30)),
        .since = value_of<std::string>(json, "since"),
        .until = value_of<std::string>(json, "until"),
        .level = level_of_word(value_of<std::string>(json, "level")),
        .text = value_of<std::string>(json, "grep")};
    lines_ =
        json.contains("lines") ? std::clamp<int64_t>(value_of<int64_t>(json, "lines"), 0, kLinesMax) : -1;
  }

  void run() override {
    for (const std::string_view name : kLogs) {
      if (std::ranges::find(logs_, name) != logs_.end()) read(std::string(name));
    }
  }
  std::string take() { return std::move(out_); }

 private:
  void read(const std::string& name) {
    LogHistory log(folder_, name, filter_);
    std::string lines;
    if (lines_ >= 0) {
      const Result<std::vector<std::string>> newest = log.newest(static_cast<size_t>(lines_));
      if (newest) {
        for (const std::string& text : *newest) add(lines, name, text);
      }
    } else if (log.begin()) {
      for (std::string text; log.next(text);) add(lines, name, text);
    }
    keep_newest(lines);
    out_ += lines;
  }
  void add(std::string& lines, const std::string& name, const std::string& text) const {
    lines.append(name).append(1, '\t').append(text).append(1, '\n');
    if (lines.size() > 2 * bytes_max_) keep_newest(lines);
  }
  void keep_newest(std::string& lines) const {
    const size_t most = bytes_max_ / kLogs.size();
    if (lines.size() <= most) return;
    const size_t end = lines.find('\n', lines.size() - most);
    lines.erase(0, end == std::string::npos ? lines.size() : end + 1);
  }

  std::string folder_;
  size_t bytes_max_;
  std::vector<std::string> logs_;
  LogFilter filter_;
  int64_t lines_ = -1;
  std::string out_;
};

}  // namespace

Task<std::string> log_lines(Reactor& reactor, std::string folder, std::string query, size_t bytes_max) {
  const Json json = Json::parse(query, nullptr, false);
  if (!json.is_object()) co_return "";
  Query work(std::move(folder), json, bytes_max);
  Offload thread(reactor, 1);
  const bool ran = co_await thread.call(work);
  co_return ran ? work.take() : "";
}

}  // namespace terrace::program
