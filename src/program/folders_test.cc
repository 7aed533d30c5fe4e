#include "program/folders.h"

#include <gtest/gtest.h>

#include <cstdlib>

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

}  // namespace
}  // namespace terrace::program
