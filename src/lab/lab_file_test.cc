#include "lab/lab_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace terrace::lab {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

TEST(LabFile, NamesMachinesThePortAndSecrets) {
  const LoadedLabFile loaded = load_lab_text(R"(
[lab]
port = 9000
deploy = "../shop"
secrets = { DB_PASSWORD = "for the lab" }

[machines.db1]
address = "10.0.0.31"
setup   = "mariadb-install-db"
run     = "exec mariadbd"
ready   = "mariadb-admin ping"

[machines.web3]
address = "10.0.0.13"
terrace = true
)",
                                             "lab.toml");
  ASSERT_NE(loaded.file, nullptr) << loaded.text;
  EXPECT_EQ(loaded.file->port, 9000);
  EXPECT_EQ(loaded.file->deploy, "../shop");
  EXPECT_EQ(loaded.file->secrets, (std::vector<config::Named>{{"DB_PASSWORD", "for the lab"}}));
  ASSERT_EQ(loaded.file->machines.size(), 2U);
  EXPECT_EQ(loaded.file->machines[0].ready, "mariadb-admin ping");
  EXPECT_TRUE(loaded.file->machines[1].terrace);
}

TEST(LabFile, MayBeMissing) {
  const LoadedLabFile loaded = load_lab_file("/no-such-folder/lab.toml");
  ASSERT_NE(loaded.file, nullptr);
  EXPECT_TRUE(loaded.file->machines.empty());
}

TEST(LabFile, EveryMistakeIsShownWithItsPlace) {
  const LoadedLabFile loaded = load_lab_text(R"(
[lab]
port = 70000

[machines.db1]
addres = "10.0.0.31"
)",
                                             "lab.toml");
  EXPECT_EQ(loaded.file, nullptr);
  EXPECT_THAT(loaded.text, HasSubstr("lab.toml:3:8"));
  EXPECT_THAT(loaded.text, HasSubstr("did you mean `address`?"));
}

TEST(LabFile, NoMessageShowsASecret) {
  for (const char* text :
       {"[lab]\nsecrets = { A = \"hunter2\" ", "[lab]\nsecrets = { A = \"hunter2\", \"0\" = \"\" }\n",
        "[lab]\nsecrets = \"hunter2\"\n"}) {
    const LoadedLabFile loaded = load_lab_text(text, "lab.toml");
    EXPECT_EQ(loaded.file, nullptr) << text;
    EXPECT_THAT(loaded.text, Not(HasSubstr("hunter2")));
  }
}

}  // namespace
}  // namespace terrace::lab
