#include "program/folders.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>

#include "base/file.h"
#include "program/site_folders.h"

namespace terrace::program {
namespace {

TEST(Folders, AreSystemWideForRootsSiteInEtcAndBesideTheFileForOthers) {
  EXPECT_EQ(folders_of("/etc/terrace/site.toml", true).state, "/var/lib/terrace");
  EXPECT_EQ(folders_of("/srv/shop/site.toml", true).state, "/srv/shop/.terrace/state");
  EXPECT_EQ(folders_of("/srv/shop/site.toml", false).run, "/srv/shop/.terrace/run");
  EXPECT_EQ(control_socket(folders_of("/srv/shop/site.toml", false)), "/srv/shop/.terrace/run/control.sock");
}

TEST(Folders, TheRunFolderMovesWhenItsSocketsWouldNotFit) {
  const std::string deep = "/" + std::string(100, 'd') + "/site.toml";
  const Folders folders = folders_of(deep, false);
  EXPECT_TRUE(folders.run.starts_with("/tmp/terrace-"));
  EXPECT_EQ(folders.run, folders_of(deep, false).run);
  EXPECT_TRUE(folders.state.starts_with("/ddd"));
}

TEST(Folders, TheEnvironmentMovesAllOfThem) {
  ::setenv("TERRACE_FOLDER", "/x", 1);
  EXPECT_EQ(folders_of("/etc/terrace/site.toml", true).log, "/x/log");
  ::unsetenv("TERRACE_FOLDER");
}

TEST(Folders, InAProjectAreLeftOutByGit) {
  char project[] = "/tmp/terrace-folders-XXXXXX";
  ASSERT_NE(::mkdtemp(project), nullptr);
  const User own{.name = "", .uid = ::geteuid(), .gid = ::getegid(), .home = "", .groups = {}};
  const Folders folders = folders_of(project + std::string("/site.toml"), false);
  EXPECT_TRUE(make_site_folders(folders, own, own));
  EXPECT_TRUE(make_site_folders(folders, own, own));
  EXPECT_EQ(*read_file(project + std::string("/.terrace/.gitignore"), 100), "*\n");
  std::filesystem::remove_all(project);
}

}  // namespace
}  // namespace terrace::program
