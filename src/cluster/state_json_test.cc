#include "cluster/state_json.h"

#include <gtest/gtest.h>

#include "cluster/base64.h"

namespace terrace::cluster {
namespace {

using namespace std::chrono_literals;

const Placement kThree{.generation = 4, .keeper = Keeper::kEtcd, .holders = {"a", "b", "c"}, .base = 77};
const Snapshot kSnapshot{.version = 9,
                         .entries = {{"site", std::string("a\0\xff", 3), 8}, {"tokens/1", "", 9}}};

TEST(StateJson, RequestsReadAsTheyWereWritten) {
  const StateRequest requests[] = {
      GetRequest{"servers/web1"},
      ListRequest{""},
      Commit{.conditions = {{"a", 0}, {"b", 12}}, .writes = {{"a", "value"}, {"b", std::nullopt}}},
      WatchRequest{"servers/", 17, 5000ms},
      WhereRequest{},
      TakeRequest{kThree, kSnapshot},
  };
  for (const StateRequest& request : requests) {
    const auto read = parse_state_request(to_json(request));
    ASSERT_TRUE(read) << to_json(request);
    EXPECT_EQ(*read, request) << to_json(request);
  }
}

TEST(StateJson, AnswersReadAsTheyWereWritten) {
  const StateAnswer answers[] = {
      Unanswered{"no majority", {}},
      Unanswered{"held elsewhere", kThree},
      Absent{},
      kSnapshot.entries[0],
      kSnapshot,
      Committed{.outcome = Outcome::kDone, .version = 18},
      Committed{.outcome = Outcome::kUnknown, .text = "no answer in time"},
      Changes{.whole = false, .version = 19, .entries = kSnapshot.entries, .removed = {"x", "y/z"}},
      Nothing{},
      kThree,
  };
  for (const StateAnswer& answer : answers) {
    const auto read = parse_state_answer(to_json(answer));
    ASSERT_TRUE(read) << to_json(answer);
    EXPECT_EQ(*read, answer) << to_json(answer);
  }
}

TEST(StateJson, RecordsReadAsTheyWereWritten) {
  const Record records[] = {
      {.begin = kSnapshot, .placement = kThree},
      {.version = 5, .writes = {{"a", "1"}}},
      {.placement = kThree, .moving = true},
  };
  for (const Record& record : records) {
    const auto read = parse_record(to_json(record));
    ASSERT_TRUE(read) << to_json(record);
    EXPECT_EQ(*read, record);
  }
}

TEST(StateJson, AnythingOddRefusesTheWholeText) {
  const char* odd[] = {
      "",
      "[]",
      "{}",
      R"({"ask":"get"})",
      R"({"ask":"get","key":"a//b"})",
      R"({"ask":"get","key":"a","also":1})",
      R"({"ask":"get","key":5})",
      R"({"ask":"list","prefix":"/"})",
      R"({"ask":"watch","prefix":"","since":-1,"wait_ms":1})",
      R"({"ask":"watch","prefix":"","since":1,"wait_ms":99999999})",
      R"({"ask":"watch","prefix":"","since":1.5,"wait_ms":1})",
      R"({"ask":"commit","commit":{"conditions":[],"writes":[]}})",
      R"({"ask":"commit","commit":{"conditions":[],"writes":[{"key":"a","value":"!!!!"}]}})",
      R"({"ask":"commit","commit":{"conditions":[],"writes":[{"key":"a","removed":false}]}})",
      R"({"ask":"sudo"})",
      R"({"ask":"where"} x)",
  };
  for (const char* text : odd) EXPECT_FALSE(parse_state_request(text)) << text;
  EXPECT_FALSE(parse_state_answer(R"({"outcome":"fine","version":1})"));
  EXPECT_FALSE(parse_state_answer(
      R"({"snapshot":{"version":2,"entries":[{"key":"b","value":"","version":1},{"key":"a","value":"","version":1}]}})"));
  EXPECT_FALSE(parse_record("{}"));
}

TEST(StateJson, TheLargestStateFitsOneText) {
  Snapshot large{.version = 99};
  for (int i = 0; i < 7; ++i)
    large.entries.push_back({std::to_string(i), std::string(kValueBytesMax, '\xff'), 5});
  const std::string text = to_json(StateAnswer(large));
  EXPECT_LE(text.size(), kStateTextBytesMax);
  EXPECT_TRUE(parse_state_answer(text));
}

TEST(Base64, HasOneTextForEveryBytes) {
  // RFC 4648 section 10.
  EXPECT_EQ(to_base64("foobar"), "Zm9vYmFy");
  EXPECT_EQ(to_base64("fooba"), "Zm9vYmE=");
  EXPECT_EQ(to_base64("foob"), "Zm9vYg==");
  EXPECT_EQ(to_base64(""), "");
  for (const char* text : {"Zm9vYg==", "Zm9vYmE=", "", "Zm9vYmFy"})
    EXPECT_EQ(to_base64(*from_base64(text)), text);
  for (const char* text : {"Zm9vYh==", "Zm9vYg=", "Zm9v Yg=", "=m9v", "Z===", "Zg==Zg==", "Zm9vYmF="})
    EXPECT_FALSE(from_base64(text)) << text;
}

}  // namespace
}  // namespace terrace::cluster
