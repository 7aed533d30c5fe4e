#include "certificates/folder.h"

#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>

#include "base/file.h"

namespace terrace::certificates {
namespace {

class FolderTest : public testing::Test {
 protected:
  FolderTest() {
    char name[] = "/tmp/certificates-XXXXXX";
    path_ = ::mkdtemp(name);
  }
  ~FolderTest() override { std::filesystem::remove_all(path_); }

  mode_t mode(const std::string& file) {
    struct stat status{};
    EXPECT_EQ(::stat(file.c_str(), &status), 0) << file;
    return status.st_mode & 07777;
  }
  std::string signed_for(const PrivateKey& key) {
    const Request request = Request::parse(key.request_pem().value()).value();
    return authority_.sign(request, {.server = "web1"}, clock_.wall(), kLifeDefault).value();
  }

  std::string path_;
  VirtualClock clock_;
  Authority authority_ = Authority::make("site-1", clock_.wall()).value();
};

TEST_F(FolderTest, AKeyIsMadeOnceAndOnlyItsOwnerReadsIt) {
  const Folder folder = Folder::open(path_ + "/cluster").value();
  EXPECT_EQ(mode(path_ + "/cluster"), 0700u);
  const std::string first = folder.key()->pem().value();
  EXPECT_EQ(mode(folder.key_path()), 0600u);
  EXPECT_EQ(folder.key()->pem().value(), first);
}

TEST_F(FolderTest, ACertificateIsTakenOnlyForTheKey) {
  const Folder folder = Folder::open(path_).value();
  EXPECT_EQ(folder.own().error().code, Code::kNotFound);
  ASSERT_TRUE(folder.write_certificate(signed_for(folder.key().value())));
  EXPECT_EQ(folder.own()->identity.server, "web1");
  EXPECT_FALSE(folder.write_certificate(signed_for(PrivateKey::make().value())));
  EXPECT_FALSE(folder.write_certificate("nothing"));
  EXPECT_TRUE(folder.own()) << "the refused ones changed nothing";
}

TEST_F(FolderTest, APairIsWrittenWithAKeyOfItsOwn) {
  const Folder folder = Folder::open(path_).value();
  for (int i = 0; i < 2; ++i) {
    const PrivateKey key = PrivateKey::make().value();
    ASSERT_TRUE(folder.write_pair(signed_for(key), key));
    EXPECT_EQ(folder.own()->key_pem, key.pem().value());
  }
  EXPECT_EQ(mode(folder.key_path()), 0600u);
  EXPECT_FALSE(folder.write_pair(signed_for(PrivateKey::make().value()), PrivateKey::make().value()));
  EXPECT_TRUE(folder.own()) << "the refused one changed nothing";
}

TEST_F(FolderTest, HalfOfAPairIsNone) {
  const Folder folder = Folder::open(path_).value();
  const PrivateKey key = PrivateKey::make().value();
  ASSERT_TRUE(folder.write_pair(signed_for(key), key));
  ASSERT_TRUE(write_file(folder.key_path(), PrivateKey::make()->pem().value(), 0600));
  EXPECT_EQ(folder.own().error().code, Code::kInvalid);
}

TEST_F(FolderTest, TheAuthorityIsOneSecretFile) {
  const Folder folder = Folder::open(path_).value();
  EXPECT_EQ(folder.authority().error().code, Code::kNotFound);
  ASSERT_TRUE(folder.write_authority(authority_));
  EXPECT_EQ(mode(folder.authority_path()), 0600u);
  EXPECT_EQ(folder.authority()->fingerprint(), authority_.fingerprint());
  ASSERT_TRUE(folder.remove_authority());
  ASSERT_TRUE(folder.remove_authority());
  EXPECT_EQ(folder.authority().error().code, Code::kNotFound);
}

TEST_F(FolderTest, AFileThatIsCutOffIsRefusedAndItsTextNotRepeated) {
  const Folder folder = Folder::open(path_).value();
  ASSERT_TRUE(folder.write_authority(authority_));
  const std::string whole = read_file(folder.authority_path(), 65536).value();
  for (size_t size = 0; size < whole.size() - 1; size += 7) {
    std::ofstream(folder.authority_path()) << whole.substr(0, size);
    const Result<Authority> read = folder.authority();
    ASSERT_FALSE(read) << size;
    EXPECT_EQ(describe(read.error()).find("BEGIN"), std::string::npos);
  }
}

TEST_F(FolderTest, TrustIsReadAsItWasWritten) {
  const Folder folder = Folder::open(path_).value();
  const Authority next = Authority::make("site-1", clock_.wall()).value();
  const Bundle both = Bundle::parse(authority_.certificate_pem())->with(next.certificate_pem()).value();
  ASSERT_TRUE(folder.write_trust(both));
  EXPECT_EQ(folder.trust()->fingerprints(), both.fingerprints());
}

}  // namespace
}  // namespace terrace::certificates
