#include "base/file.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstdlib>
#include <filesystem>

namespace terrace {
namespace {

class File : public testing::Test {
 protected:
  File() {
    char pattern[] = "/tmp/terrace-file-XXXXXX";
    folder_ = ::mkdtemp(pattern);
  }
  ~File() override { std::filesystem::remove_all(folder_); }
  std::string folder_;
};

TEST_F(File, IsWrittenWholeAndReadBackWithTheModeAskedFor) {
  const std::string path = folder_ + "/secret";
  ASSERT_TRUE(write_file(path, "abc", 0600));
  EXPECT_EQ(read_file(path, 100).value(), "abc");
  struct stat about{};
  ASSERT_EQ(::stat(path.c_str(), &about), 0);
  EXPECT_EQ(about.st_mode & 0777, 0600u);
}

TEST_F(File, OverTheLimitIsRefusedInsteadOfCut) {
  const std::string path = folder_ + "/large";
  ASSERT_TRUE(write_file(path, std::string(20'000, 'x')));
  EXPECT_EQ(read_file(path, 19'999).error().code, Code::kLimit);
}

TEST_F(File, FoldersAreMadeWithTheirParents) {
  ASSERT_TRUE(make_folders(folder_ + "/a/b/c", 0700));
  ASSERT_TRUE(make_folders(folder_ + "/a/b/c", 0700)) << "again is fine";
  EXPECT_TRUE(std::filesystem::is_directory(folder_ + "/a/b/c"));
}

}  // namespace
}  // namespace terrace
