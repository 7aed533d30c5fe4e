#include "entries.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <stdexcept>

namespace guestbook {
namespace {

class EntriesTest : public testing::Test {
 protected:
  EntriesTest() {
    char pattern[] = "/tmp/guestbook-test-XXXXXX";
    folder_ = ::mkdtemp(pattern);
  }
  ~EntriesTest() override { std::filesystem::remove_all(folder_); }
  std::string path() const { return folder_ + "/entries.db"; }
  std::string folder_;
};

TEST_F(EntriesTest, AreListedFromTheNewestAndSurviveTheProcess) {
  {
    Entries entries(path());
    entries.add(make_draft("Ada", "first"));
    entries.add(make_draft("Grace", "second"));
  }
  Entries again(path());
  ASSERT_EQ(again.count(), 2);
  EXPECT_EQ(again.newest(10, 0)[0].name, "Grace");
  ASSERT_EQ(again.newest(1, 1).size(), 1u);
  EXPECT_EQ(again.newest(1, 1)[0].message, "first");
}

TEST_F(EntriesTest, KeepTextThatLooksLikeSqlAsText) {
  Entries entries(path());
  const std::string message = "'); DROP TABLE entries; --";
  entries.add(make_draft("Bobby", message));
  EXPECT_EQ(entries.newest(1, 0)[0].message, message);
}

TEST_F(EntriesTest, AreSharedByTwoProcessesThatWriteTheSameFile) {
  Entries one(path());
  Entries other(path());
  one.add(make_draft("a", "1"));
  other.add(make_draft("b", "2"));
  EXPECT_EQ(one.count(), 2);
}

TEST_F(EntriesTest, AFolderThatIsNotThereIsAnErrorWithTheReason) {
  EXPECT_THROW(Entries(folder_ + "/none/entries.db"), std::runtime_error);
}

TEST(Draft, LosesWhiteSpaceAroundItAndKeepsItsLines) {
  const Draft draft = make_draft("  Ada ", "\r\n one\r\ntwo \n");
  EXPECT_EQ(draft.name, "Ada");
  EXPECT_EQ(draft.message, "one\ntwo");
  EXPECT_EQ(draft.problem, "");
}

TEST(Draft, SaysWhatIsWrong) {
  EXPECT_EQ(make_draft(" ", "x").problem, "Please tell us your name.");
  EXPECT_EQ(make_draft("x", "\n").problem, "Please write a message.");
  EXPECT_EQ(make_draft("x\ny", "x").problem, "Please write plain text.");
  EXPECT_EQ(make_draft("x", std::string("a\0b", 3)).problem, "Please write plain text.");
  EXPECT_EQ(make_draft("x", "\xC3").problem, "Please write plain text.");
}

TEST(Draft, CountsCharactersAndNotBytes) {
  std::string emoji;
  for (size_t i = 0; i < kMessageMax; ++i) emoji += "🌿";
  EXPECT_EQ(make_draft("x", emoji).problem, "");
  EXPECT_EQ(make_draft("x", emoji + "!").problem, "The message has more than 600 characters.");
  EXPECT_EQ(make_draft(std::string(kNameMax + 1, 'x'), "x").problem, "The name has more than 40 characters.");
}

TEST(DatabasePath, IsReadFromTheUrl) {
  EXPECT_EQ(database_path("sqlite:///var/lib/a.db"), "/var/lib/a.db");
  EXPECT_EQ(database_path("sqlite:////var/lib/a.db"), "/var/lib/a.db");
  EXPECT_EQ(database_path("sqlite:/var/lib/a.db"), "/var/lib/a.db");
  EXPECT_THROW(database_path("mysql://u:p@host/db"), std::runtime_error);
}

}  // namespace
}  // namespace guestbook
