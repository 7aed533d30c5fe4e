#include "program/secrets.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>

#include "base/file.h"

namespace terrace::program {
namespace {

using namespace std::string_literals;

class SecretFiles : public testing::Test {
 protected:
  void SetUp() override { ASSERT_NE(::mkdtemp(above_), nullptr); }
  void TearDown() override { std::filesystem::remove_all(above_); }
  std::string folder() const { return std::string(above_) + "/state/secrets"; }
  SecretFolder secrets() const { return SecretFolder(folder()); }
  static unsigned mode_of(const std::string& path) {
    struct stat about{};
    return ::stat(path.c_str(), &about) == 0 ? about.st_mode & 07777 : 0;
  }

 private:
  char above_[32] = "/tmp/terrace-secrets-XXXXXX";
};

TEST_F(SecretFiles, AreForTheirUserOnly) {
  ASSERT_TRUE(secrets().set("DB_PASSWORD", "hunter2"));
  EXPECT_EQ(mode_of(folder()), 0700U);
  EXPECT_EQ(mode_of(folder() + "/DB_PASSWORD"), 0600U);
}

TEST_F(SecretFiles, AreClosedAgainWhenTheirFolderWasOpened) {
  ASSERT_TRUE(secrets().set("A", "1"));
  ::chmod(folder().c_str(), 0755);
  ASSERT_TRUE(secrets().get("A"));
  EXPECT_EQ(mode_of(folder()), 0700U);
}

TEST_F(SecretFiles, HoldWhatTheyWereGivenByteForByte) {
  const std::string value = "two lines\nand \xff =\"'$`\\ ";
  ASSERT_TRUE(secrets().set("A", value));
  EXPECT_EQ(*secrets().get("A"), value);
  ASSERT_TRUE(secrets().set("A", "other"));
  EXPECT_EQ(*secrets().get("A"), "other");
}

TEST_F(SecretFiles, AreListedByNameAndRemoved) {
  for (const char* name : {"B", "A", "C"}) ASSERT_TRUE(secrets().set(name, name));
  ASSERT_TRUE(secrets().remove("C"));
  ASSERT_TRUE(write_file(folder() + "/.new", "left by a crash"));
  const auto entries = secrets().list();
  ASSERT_TRUE(entries);
  ASSERT_EQ(entries->size(), 2U);
  EXPECT_EQ((*entries)[0].name, "A");
  EXPECT_EQ((*entries)[1].name, "B");
  EXPECT_EQ(secrets().remove("C").error().code, Code::kNotFound);
  EXPECT_TRUE(secrets().set("C", "once more"));
}

TEST_F(SecretFiles, AreNoneBeforeTheFirstIsSet) {
  EXPECT_TRUE(secrets().list()->empty());
  EXPECT_EQ(*secrets().pack(), "");
  EXPECT_EQ(secrets().get("A").error().code, Code::kNotFound);
}

TEST_F(SecretFiles, HaveNamesThatAreNoPaths) {
  for (const char* name : {"", "../A", "a/b", ".new", "1A", "A B", "A=B"}) {
    EXPECT_EQ(secrets().set(name, "x").error().code, Code::kInvalid) << name;
    EXPECT_EQ(secrets().get(name).error().code, Code::kInvalid) << name;
    EXPECT_EQ(secrets().remove(name).error().code, Code::kInvalid) << name;
  }
  EXPECT_EQ(secrets().set(std::string(65, 'A'), "x").error().code, Code::kInvalid);
  EXPECT_TRUE(secrets().set(std::string(64, 'A'), "x"));
}

TEST_F(SecretFiles, HaveAValueThatAnEnvironmentCanHold) {
  EXPECT_NE(wrong_with_secret(""), "");
  EXPECT_NE(wrong_with_secret("a\0b"s), "");
  EXPECT_NE(wrong_with_secret(std::string(kSecretBytesMax + 1, 'x')), "");
  EXPECT_EQ(wrong_with_secret(std::string(kSecretBytesMax, 'x')), "");
  EXPECT_EQ(secrets().set("A", "a\0b"s).error().code, Code::kInvalid);
}

TEST_F(SecretFiles, AreAtMostSoMany) {
  for (size_t i = 0; i < kSecretsMax; ++i) ASSERT_TRUE(secrets().set("A" + std::to_string(i), "x"));
  EXPECT_EQ(secrets().set("B", "x").error().code, Code::kLimit);
  EXPECT_TRUE(secrets().set("A0", "another"));
}

TEST_F(SecretFiles, OfAnotherPlaceAreNotTaken) {
  ASSERT_TRUE(SecretFolder(folder() + "-elsewhere").set("A", "stolen"));
  ASSERT_EQ(::symlink((folder() + "-elsewhere").c_str(), folder().c_str()), 0);
  EXPECT_FALSE(secrets().get("A"));
  EXPECT_FALSE(secrets().pack());
  EXPECT_FALSE(secrets().set("A", "x"));
}

TEST_F(SecretFiles, OfAnotherUserAreNotTaken) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root can give files away";
  ASSERT_TRUE(secrets().set("A", "1"));
  ASSERT_EQ(::chown((folder() + "/A").c_str(), 65'534, 65'534), 0);
  EXPECT_EQ(secrets().get("A").error().code, Code::kInvalid);
  ASSERT_EQ(::chown(folder().c_str(), 65'534, 65'534), 0);
  EXPECT_EQ(secrets().list().error().code, Code::kUnavailable);
  EXPECT_EQ(inputs_with_files(folder()).secret("A").error().code, Code::kUnavailable);
}

TEST_F(SecretFiles, AreHandedOverAsOneText) {
  ASSERT_TRUE(secrets().set("B", "x=y\nz"));
  ASSERT_TRUE(secrets().set("A", "1"));
  EXPECT_EQ(*secrets().pack(), "A=1\0B=x=y\nz\0"s);
  EXPECT_THAT(unpack_secrets(*secrets().pack()),
              testing::ElementsAre(testing::Pair("A", "1"), testing::Pair("B", "x=y\nz")));
  const config::Inputs inputs = inputs_with_packed(*secrets().pack());
  EXPECT_EQ(*inputs.secret("B"), "x=y\nz");
  EXPECT_EQ(inputs.secret("C").error().code, Code::kNotFound);
}

}  // namespace
}  // namespace terrace::program
