#include "database/sqlite.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>

namespace terrace::database {
namespace {

class SqliteFolder : public testing::Test {
 protected:
  void SetUp() override { ASSERT_NE(::mkdtemp(above_), nullptr); }
  void TearDown() override {
    ::rmdir(path().c_str());
    ::rmdir(above_);
  }
  std::string path() const { return std::string(above_) + "/database"; }

 private:
  char above_[32] = "/tmp/terrace-database-XXXXXX";
};

TEST_F(SqliteFolder, IsMadeForItsUserOnly) {
  ASSERT_TRUE(prepare_folder(path(), ::getuid(), ::getgid()));
  struct stat about{};
  ASSERT_EQ(::stat(path().c_str(), &about), 0);
  EXPECT_EQ(about.st_mode & 07777, 0700U);
  EXPECT_EQ(about.st_uid, ::getuid());
  EXPECT_TRUE(prepare_folder(path(), ::getuid(), ::getgid()));
}

TEST_F(SqliteFolder, OfAnotherUserIsNotTaken) {
  ASSERT_TRUE(prepare_folder(path(), ::getuid(), ::getgid()));
  EXPECT_EQ(prepare_folder(path(), ::getuid() + 1, ::getgid()).error().code, Code::kInvalid);
}

TEST_F(SqliteFolder, IsNeverALink) {
  ASSERT_EQ(::symlink("/tmp", path().c_str()), 0);
  EXPECT_FALSE(prepare_folder(path(), ::getuid(), ::getgid()));
  ::unlink(path().c_str());
}

TEST(SqliteUrl, HasTheAbsolutePathBehindThreeSlashes) {
  EXPECT_EQ(sqlite_url("/var/lib/terrace/database", "shop"),
            "sqlite:////var/lib/terrace/database/shop.sqlite3");
}

}  // namespace
}  // namespace terrace::database
