#include "lab/folders.h"

#include <gtest/gtest.h>

namespace terrace::lab {
namespace {

TEST(LabFolders, TheHundredthLabOfTheLongestSiteHasAName) {
  EXPECT_TRUE(is_lab_name(std::string(63, 'a') + "-100"));
  EXPECT_FALSE(is_lab_name(std::string(69, 'a')));
}

TEST(LabFolders, NoNameLeadsElsewhere) {
  for (const char* name : {"", ".", "..", "a/b", "../a", "a b"}) EXPECT_FALSE(is_lab_name(name)) << name;
}

}  // namespace
}  // namespace terrace::lab
