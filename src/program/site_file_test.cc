#include "program/site_file.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>

#include "base/file.h"

namespace terrace::program {
namespace {

namespace fs = std::filesystem;

class SiteFile : public testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/terrace-site-file-XXXXXX";
    folder_ = ::mkdtemp(name);
    path_ = folder_ / "site.toml";
    ASSERT_TRUE(write_file(path_, "old", 0640));
    ::chmod(path_.c_str(), 0640);
  }
  void TearDown() override { fs::remove_all(folder_); }

  std::string content(const fs::path& path) const { return read_file(path, kSiteFileBytesMax).value_or("-"); }

  fs::path folder_;
  fs::path path_;
};

TEST_F(SiteFile, IsReplacedWholeAndKeepsItsMode) {
  ASSERT_TRUE(replace_site_file(path_, "new"));
  EXPECT_EQ(content(path_), "new");
  struct stat about{};
  ASSERT_EQ(::stat(path_.c_str(), &about), 0);
  EXPECT_EQ(about.st_mode & 07777, 0640U);
  EXPECT_FALSE(fs::exists(folder_ / "site.toml.new"));
}

TEST_F(SiteFile, IsMadeWhenItIsMissing) {
  fs::remove(path_);
  ASSERT_TRUE(replace_site_file(path_, "new"));
  EXPECT_EQ(content(path_), "new");
}

TEST_F(SiteFile, BehindALinkIsReplacedAndTheLinkStays) {
  const fs::path link = folder_ / "link.toml";
  fs::create_symlink("site.toml", link);
  ASSERT_TRUE(replace_site_file(link, "new"));
  EXPECT_TRUE(fs::is_symlink(link));
  EXPECT_EQ(content(path_), "new");
}

TEST_F(SiteFile, IsNotWrittenThroughALinkInTheWayOfItsTemporary) {
  ASSERT_TRUE(write_file(folder_ / "other", "untouched"));
  fs::create_symlink(folder_ / "other", folder_ / "site.toml.new");
  ASSERT_TRUE(replace_site_file(path_, "new"));
  EXPECT_EQ(content(folder_ / "other"), "untouched");
  EXPECT_EQ(content(path_), "new");
}

TEST_F(SiteFile, ThatIsTooLongIsRefusedAndTheOldOneStays) {
  const Result<void> done = replace_site_file(path_, std::string(kSiteFileBytesMax + 1, 'x'));
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().code, Code::kLimit);
  EXPECT_EQ(content(path_), "old");
}

}  // namespace
}  // namespace terrace::program
