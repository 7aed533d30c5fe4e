#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "program/job_commands.h"

namespace terrace::program {
namespace {

namespace fs = std::filesystem;

class JobLink : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_NE(::mkdtemp(above_), nullptr);
    for (const char* name : {"site", "releases/1", "releases/2", "writable"})
      fs::create_directories(path(name));
  }
  void TearDown() override { fs::remove_all(above_); }

  std::string path(const std::string& name) const { return std::string(above_) + "/" + name; }
  void write(const std::string& name, const std::string& text) const {
    fs::create_directories(fs::path(path(name)).parent_path());
    std::ofstream(path(name)) << text;
  }
  std::string content(const std::string& name) const {
    std::ifstream file(path(name));
    return {std::istreambuf_iterator<char>(file), {}};
  }
  // `from`: the site's folder while no release serves.
  int link(const std::string& release, const std::string& from) const {
    const std::string writable = path("writable");
    const std::string folder = path(release);
    const char* const arguments[] = {folder.c_str(), from.c_str(), writable.c_str(), "", "", "uploads"};
    return run_job_link(arguments);
  }

  char above_[32] = "/tmp/terrace-link-XXXXXX";
};

TEST_F(JobLink, TheFirstReleaseHasWhatTheSiteWrote) {
  write("site/uploads/one", "1");
  write("releases/1/uploads/sample", "s");
  ASSERT_EQ(link("releases/1", path("site")), 0);
  EXPECT_EQ(content("releases/1/uploads/one"), "1");
  EXPECT_FALSE(fs::exists(path("releases/1/uploads/sample")));
}

TEST_F(JobLink, AfterAFailedDeployTheNextOneHasWhatWasWrittenSince) {
  write("site/uploads/one", "1");
  write("site/uploads/gone", "x");
  write("site/uploads/changed", "old");
  ASSERT_EQ(link("releases/1", path("site")), 0);
  write("site/uploads/changed", "new");
  fs::remove(path("site/uploads/gone"));
  write("site/uploads/deep/two", "2");
  ASSERT_EQ(link("releases/2", path("site")), 0);
  EXPECT_EQ(content("releases/2/uploads/one"), "1");
  EXPECT_EQ(content("releases/2/uploads/changed"), "new");
  EXPECT_EQ(content("releases/2/uploads/deep/two"), "2");
  EXPECT_FALSE(fs::exists(path("releases/2/uploads/gone")));
}

TEST_F(JobLink, WhatWasWrittenUntilTheSwitchIsAddedAndReplacesNothing) {
  write("site/uploads/one", "of the site");
  ASSERT_EQ(link("releases/1", path("site")), 0);
  write("writable/uploads/one", "of the release");
  write("site/uploads/one", "written late");
  write("site/uploads/deep/late", "2");
  write("site/uploads/data-wal", "of another database");
  const std::string site = path("site");
  const std::string writable = path("writable");
  const char* const arguments[] = {site.c_str(), writable.c_str(), "uploads", "missing"};
  ASSERT_EQ(run_job_late_writes(arguments), 0);
  EXPECT_EQ(content("releases/1/uploads/one"), "of the release");
  EXPECT_EQ(content("releases/1/uploads/deep/late"), "2");
  EXPECT_FALSE(fs::exists(path("writable/uploads/data-wal")));
}

TEST_F(JobLink, LaterReleasesGiveWayToWhatIsKept) {
  ASSERT_EQ(link("releases/1", ""), 0);
  write("writable/uploads/one", "of the release");
  write("releases/2/uploads/one", "of the archive");
  ASSERT_EQ(link("releases/2", ""), 0);
  EXPECT_EQ(content("releases/2/uploads/one"), "of the release");
}

}  // namespace
}  // namespace terrace::program
