#include "monitor/access_log.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "base/descriptor.h"
#include "base/random.h"

namespace terrace::monitor {
namespace {

Descriptor nameless_file() { return Descriptor(open("/tmp", O_TMPFILE | O_RDWR | O_APPEND, 0600)); }

std::vector<std::string> lines_of(const Descriptor& file) {
  struct stat status{};
  EXPECT_EQ(fstat(file.get(), &status), 0);
  std::string text(static_cast<size_t>(status.st_size), '\0');
  EXPECT_EQ(pread(file.get(), text.data(), text.size(), 0), status.st_size);
  std::vector<std::string> lines;
  for (size_t end = 0; (end = text.find('\n')) != std::string::npos; text.erase(0, end + 1)) {
    lines.push_back(text.substr(0, end));
  }
  EXPECT_EQ(text, "") << "the last line has no end";
  return lines;
}

AccessRecord typical() {
  return {.time = WallTime(std::chrono::milliseconds(1'700'000'000'123)),
          .client = "203.0.113.77",
          .method = "GET",
          .host = "shop.example.com",
          .target = "/a?b=c",
          .protocol = "HTTP/1.1",
          .status = 200,
          .bytes_sent = 5120,
          .bytes_received = 612,
          .duration = std::chrono::microseconds(1'001'834),
          .served_from = ServedFrom::kApp,
          .instance = "app-1",
          .request_id = "4f1c",
          .user_agent = "curl/7.88",
          .referer = ""};
}

// The one line that the record becomes.
std::string line_of(const AccessRecord& record, AccessForm form) {
  const Descriptor file = nameless_file();
  AccessLog log(file.get(), form);
  log.add(record);
  log.flush();
  const std::vector<std::string> lines = lines_of(file);
  EXPECT_EQ(lines.size(), 1U);
  return lines.empty() ? "" : lines[0];
}

TEST(AccessLog, ARequestIsOneLineOfJson) {
  EXPECT_EQ(line_of(typical(), AccessForm::kJson),
            R"({"time":"2023-11-14T22:13:20.123Z","client":"203.0.113.77","method":"GET",)"
            R"("host":"shop.example.com","target":"/a?b=c","protocol":"HTTP/1.1","status":200,)"
            R"("bytes_sent":5120,"bytes_received":612,"duration_seconds":1.001834,)"
            R"("served_from":"app","instance":"app-1","release":0,"request_id":"4f1c",)"
            R"("user_agent":"curl/7.88","referer":""})");
}

TEST(AccessLog, TheReadableFormPutsTheSameOnOneLine) {
  EXPECT_EQ(line_of(typical(), AccessForm::kReadable),
            R"(2023-11-14T22:13:20.123Z 203.0.113.77 "GET shop.example.com/a?b=c HTTP/1.1" 200 5120 )"
            R"(1001.834ms app-1 4f1c "" "curl/7.88")");
}

TEST(AccessLog, BothFormsNameTheReleaseThatAnswered) {
  AccessRecord record = typical();
  record.release = 7;
  EXPECT_NE(line_of(record, AccessForm::kJson).find(R"("instance":"app-1","release":7,)"), std::string::npos);
  EXPECT_NE(line_of(record, AccessForm::kReadable).find(" app-1@7 4f1c "), std::string::npos);
  record.instance = {};
  record.served_from = ServedFrom::kStatic;
  EXPECT_NE(line_of(record, AccessForm::kReadable).find(" static@7 4f1c "), std::string::npos);
}

TEST(AccessLog, WhatIsUnknownIsADashInTheReadableForm) {
  EXPECT_EQ(line_of({.time = typical().time, .client = "::1", .status = 400}, AccessForm::kReadable),
            R"(2023-11-14T22:13:20.123Z ::1 "-  -" 400 0 0.000ms error - "" "")");
}

TEST(AccessLog, TheTimeFollowsTheClockAcrossSeconds) {
  const Descriptor file = nameless_file();
  AccessLog log(file.get(), AccessForm::kReadable);
  AccessRecord record = typical();
  for (const int milliseconds : {0, 876, 1, -2000}) {
    record.time += std::chrono::milliseconds(milliseconds);
    log.add(record);
  }
  log.flush();
  std::vector<std::string> times;
  for (const std::string& line : lines_of(file)) times.push_back(line.substr(11, 12));
  EXPECT_EQ(times,
            (std::vector<std::string>{"22:13:20.123", "22:13:20.999", "22:13:21.000", "22:13:19.000"}));
}

TEST(AccessLog, QuotesAndControlBytesCannotForgeALine) {
  AccessRecord record = typical();
  record.target = "/\"},\n{\"status\":200,\"x\":\"\\\r\t\x1b[2J\x7f\xc2\x9b";
  const nlohmann::json line = nlohmann::json::parse(line_of(record, AccessForm::kJson));
  EXPECT_EQ(line["target"], record.target);
  const std::string readable = line_of(record, AccessForm::kReadable);
  for (const char c : readable) EXPECT_TRUE(c >= ' ' && c < 0x7f) << readable;
}

TEST(AccessLog, AWordOfTheReadableFormStaysOneWord) {
  AccessRecord record = typical();
  record.request_id = "a b\"\n\xff";
  EXPECT_NE(line_of(record, AccessForm::kReadable).find(" a?b??? "), std::string::npos);
}

TEST(AccessLog, BytesThatAreNotUtf8BecomeTheReplacementCharacter) {
  AccessRecord record = typical();
  record.user_agent = "a\xff\xc3(\xe2\x82\xed\xa0\x80z";
  const nlohmann::json line = nlohmann::json::parse(line_of(record, AccessForm::kJson));
  const std::string bad = "\xef\xbf\xbd";
  EXPECT_EQ(line["user_agent"], "a" + bad + bad + "(" + bad + bad + bad + bad + bad + "z");
}

TEST(AccessLog, ALongTargetIsCutAndSaysSo) {
  const std::string target(16 * 1024, 'x');
  AccessRecord record = typical();
  record.target = target;
  const nlohmann::json line = nlohmann::json::parse(line_of(record, AccessForm::kJson));
  EXPECT_EQ(line["target"], target.substr(0, AccessLimits::kTarget) + "\xe2\x80\xa6");
}

TEST(AccessLog, ACutDoesNotHalveACharacter) {
  std::string agent(AccessLimits::kUserAgent - 1, 'x');
  agent += "\xc3\xa9\xc3\xa9";
  AccessRecord record = typical();
  record.user_agent = agent;
  const nlohmann::json line = nlohmann::json::parse(line_of(record, AccessForm::kJson));
  EXPECT_EQ(line["user_agent"], agent.substr(0, AccessLimits::kUserAgent - 1) + "\xe2\x80\xa6");
}

// Values of every kind of byte and up to 16 KiB, each of them one valid line.
TEST(AccessLog, AnyBytesStillGiveOneValidLineEach) {
  const uint64_t seed = random_seed();
  SCOPED_TRACE("seed " + std::to_string(seed));
  Random random(seed);
  const Descriptor file = nameless_file();
  AccessLog log(file.get(), AccessForm::kJson);
  const int count = 300;
  for (int i = 0; i < count; ++i) {
    std::string bytes(random.below(16 * 1024), '\0');
    const uint64_t range = i % 3 == 0 ? 256 : i % 3 == 1 ? 32 : 128;
    for (char& c : bytes) c = static_cast<char>(random.below(range));
    log.add({.client = bytes,
             .method = bytes,
             .host = bytes,
             .target = bytes,
             .protocol = bytes,
             .status = -1,
             .bytes_sent = UINT64_MAX,
             .bytes_received = UINT64_MAX,
             .duration = Duration::max(),
             .instance = bytes,
             .request_id = bytes,
             .user_agent = bytes,
             .referer = bytes});
  }
  log.flush();
  const std::vector<std::string> lines = lines_of(file);
  ASSERT_EQ(lines.size(), static_cast<size_t>(count));
  for (const std::string& line : lines) ASSERT_EQ(nlohmann::json::parse(line).size(), 16U);
  EXPECT_EQ(log.lines_written().get(), static_cast<uint64_t>(count));
}

TEST(AccessLog, LinesWaitUntilTheBufferIsFullOrFlushed) {
  const Descriptor file = nameless_file();
  AccessLog log(file.get(), AccessForm::kJson);
  log.add(typical());
  EXPECT_TRUE(lines_of(file).empty());
  for (size_t i = 0; i < AccessLog::kBufferBytes / 200; ++i) log.add(typical());
  EXPECT_FALSE(lines_of(file).empty());
}

TEST(AccessLog, TheLastLinesAreWrittenWhenItEnds) {
  const Descriptor file = nameless_file();
  {
    AccessLog(file.get(), AccessForm::kJson).add(typical());
  }
  EXPECT_EQ(lines_of(file).size(), 1U);
}

TEST(AccessLog, AfterReopenLinesGoToTheNewFile) {
  const Descriptor before = nameless_file();
  const Descriptor after = nameless_file();
  AccessLog log(before.get(), AccessForm::kJson);
  log.add(typical());
  log.reopen(after.get());
  log.add(typical());
  log.add(typical());
  log.flush();
  EXPECT_EQ(lines_of(before).size(), 1U);
  EXPECT_EQ(lines_of(after).size(), 2U);
}

TEST(AccessLog, AFullDiskDropsLinesAndCountsThem) {
  const Descriptor full(open("/dev/full", O_WRONLY | O_APPEND));
  AccessLog log(full.get(), AccessForm::kJson);
  log.add(typical());
  log.add(typical());
  log.flush();
  EXPECT_EQ(log.lines_written().get(), 0U);
  EXPECT_EQ(log.lines_dropped().get(), 2U);
}

// A file size limit of the process stands in for a disk that fills within a batch.
TEST(AccessLog, AHalfWrittenLineIsEndedBeforeTheNextBatch) {
  const Descriptor file = nameless_file();
  AccessLog log(file.get(), AccessForm::kJson);
  rlimit before{};
  getrlimit(RLIMIT_FSIZE, &before);
  signal(SIGXFSZ, SIG_IGN);
  rlimit small = before;
  small.rlim_cur = 500;
  setrlimit(RLIMIT_FSIZE, &small);
  log.add(typical());
  log.add(typical());
  log.flush();
  setrlimit(RLIMIT_FSIZE, &before);
  signal(SIGXFSZ, SIG_DFL);
  log.add(typical());
  log.flush();
  const std::vector<std::string> lines = lines_of(file);
  ASSERT_EQ(lines.size(), 3U);
  EXPECT_TRUE(nlohmann::json::accept(lines[0]));
  EXPECT_FALSE(nlohmann::json::accept(lines[1]));
  EXPECT_TRUE(nlohmann::json::accept(lines[2]));
  EXPECT_EQ(log.lines_written().get(), 2U);
  EXPECT_EQ(log.lines_dropped().get(), 1U);
}

}  // namespace
}  // namespace terrace::monitor
