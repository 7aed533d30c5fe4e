#include "web/folder.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>

namespace terrace::web {
namespace {

class FolderTest : public testing::Test {
 protected:
  FolderTest() {
    std::string pattern = testing::TempDir() + "folder-XXXXXX";
    base_ = ::mkdtemp(pattern.data());
    std::filesystem::create_directories(base_ + "/site/sub");
    std::ofstream(base_ + "/secret") << "secret";
    std::ofstream(base_ + "/site/a.txt") << "hello";
    folder_.emplace(Folder::open(base_ + "/site").value());
  }
  ~FolderTest() override { std::filesystem::remove_all(base_); }

  Code code(std::string_view path) const {
    const Result<Descriptor> file = folder_->open_beneath(path, Patience::kMayBlock);
    return file ? Code::kCancelled : file.error().code;  // kCancelled: it was opened
  }
  void link(const std::string& target, const std::string& name) const {
    std::filesystem::create_symlink(target, base_ + "/site/" + name);
  }

  std::string base_;
  std::optional<Folder> folder_;
};

TEST_F(FolderTest, OpensAndReadsAFile) {
  const Result<Descriptor> file = folder_->open_beneath("/a.txt", Patience::kMayBlock);
  ASSERT_TRUE(file);
  EXPECT_EQ(read_content(file->get(), 5, Patience::kMayBlock), "hello");
  EXPECT_EQ(read_content(file->get(), 5, Patience::kCachedOnly), "hello");
}

TEST_F(FolderTest, SaysThatNothingIsThere) {
  EXPECT_EQ(code("/b.txt"), Code::kNotFound);
  EXPECT_EQ(code("/a.txt/"), Code::kNotFound);
  EXPECT_EQ(code("/a.txt/b"), Code::kNotFound);
  EXPECT_EQ(code("/" + std::string(5000, 'a')), Code::kNotFound);
  EXPECT_EQ(code("/" + std::string(300, 'a')), Code::kNotFound);
}

TEST_F(FolderTest, FollowsLinksThatStayBeneath) {
  link("../site/a.txt", "outside-and-back");
  link("a.txt", "link");
  EXPECT_EQ(code("/link"), Code::kCancelled);
  EXPECT_EQ(code("/outside-and-back"), Code::kInvalid);
}

TEST_F(FolderTest, NeverLeavesTheFolder) {
  link("../secret", "relative");
  link(base_ + "/secret", "absolute");
  link("..", "up");
  link("/", "root");
  EXPECT_EQ(code("/relative"), Code::kInvalid);
  EXPECT_EQ(code("/absolute"), Code::kInvalid);
  EXPECT_EQ(code("/up/secret"), Code::kInvalid);
  EXPECT_EQ(code("/root/etc/passwd"), Code::kInvalid);
  EXPECT_EQ(code("/../secret"), Code::kInvalid);
}

TEST_F(FolderTest, EndsCirclesOfLinks) {
  link("two", "one");
  link("one", "two");
  EXPECT_EQ(code("/one"), Code::kInvalid);
}

TEST_F(FolderTest, DoesNotWaitForTheOtherSideOfAFifo) {
  ASSERT_EQ(::mkfifo((base_ + "/site/fifo").c_str(), 0644), 0);
  EXPECT_EQ(code("/fifo"), Code::kCancelled);  // opened at once; its kind is the caller's concern
}

TEST_F(FolderTest, DoesNotOpenSockets) {
  const int socket = ::socket(AF_UNIX, SOCK_STREAM, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::string path = base_ + "/site/socket";
  std::strncpy(address.sun_path, path.c_str(), sizeof address.sun_path - 1);
  ASSERT_EQ(::bind(socket, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
  EXPECT_EQ(code("/socket"), Code::kInvalid);
  ::close(socket);
}

TEST_F(FolderTest, NoticesAFileThatGotShorter) {
  const Result<Descriptor> file = folder_->open_beneath("/a.txt", Patience::kMayBlock);
  ASSERT_TRUE(file);
  const Result<std::string> content = read_content(file->get(), 6, Patience::kMayBlock);
  ASSERT_FALSE(content);
  EXPECT_EQ(content.error().code, Code::kInvalid);
}

TEST(Hidden, IsWhatBeginsWithADotAnywhere) {
  EXPECT_TRUE(is_hidden("/.env"));
  EXPECT_TRUE(is_hidden("/.git/config"));
  EXPECT_TRUE(is_hidden("/a/.git/config"));
  EXPECT_TRUE(is_hidden("/.well-known/.secret"));
  EXPECT_TRUE(is_hidden("/a/.well-known/x"));
  EXPECT_TRUE(is_hidden("/.well-knownx"));
  EXPECT_FALSE(is_hidden("/.well-known/security.txt"));
  EXPECT_FALSE(is_hidden("/a.b/c.d"));
  EXPECT_FALSE(is_hidden("/"));
}

}  // namespace
}  // namespace terrace::web
