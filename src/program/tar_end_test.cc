#include "program/tar_end.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <string>

namespace terrace::program {
namespace {

// What GNU tar makes of a folder with these options.
std::string real_tar(const std::string& options) {
  char folder[] = "/tmp/terrace-tar-XXXXXX";
  EXPECT_NE(::mkdtemp(folder), nullptr);
  const std::string base = folder;
  std::filesystem::create_directories(base + "/a/b");
  std::ofstream(base + "/a/empty") << "";
  std::ofstream(base + "/a/zeros") << std::string(5000, '\0');
  std::ofstream(base + "/a/b/text") << std::string(513, 'x');
  std::ofstream(base + "/a/" + std::string(150, 'n')) << "long name";
  std::filesystem::create_symlink("b/text", base + "/a/link");
  FILE* pipe = ::popen(("tar -C " + base + " -cf - " + options + " a").c_str(), "r");
  std::string bytes;
  char block[4096];
  for (size_t n = ::fread(block, 1, sizeof block, pipe); n > 0; n = ::fread(block, 1, sizeof block, pipe))
    bytes.append(block, n);
  ::pclose(pipe);
  std::filesystem::remove_all(base);
  return bytes;
}

class TarEndTest : public testing::TestWithParam<const char*> {};

TEST_P(TarEndTest, AWholeArchiveIsCompleteAndNoPartOfItIs) {
  const std::string bytes = real_tar(GetParam());
  for (const size_t step : {size_t{1}, size_t{511}, size_t{10'000}, bytes.size()}) {
    TarEnd end;
    for (size_t at = 0; at < bytes.size(); at += step)
      ASSERT_TRUE(end.add(std::string_view(bytes).substr(at, step)));
    EXPECT_TRUE(end.complete());
    EXPECT_EQ(end.entries(), 7U);
  }
  // The archive's filling begins after the two blocks that end it.
  const size_t content = bytes.find_last_not_of('\0') / 512 * 512 + 512;
  for (size_t cut = 0; cut < content + 1024; cut += 97) {
    TarEnd end;
    ASSERT_TRUE(end.add(std::string_view(bytes).substr(0, cut)));
    EXPECT_FALSE(end.complete()) << cut;
  }
}

INSTANTIATE_TEST_SUITE_P(All, TarEndTest, testing::Values("--format=gnu", "--format=pax", "-b 64", "-b 1"),
                         [](const auto& info) { return "format" + std::to_string(info.index); });

TEST(TarEnd, WhatIsNoArchiveIsRefused) {
  TarEnd text;
  EXPECT_FALSE(text.add(std::string(600, 'x')));
  TarEnd none;
  EXPECT_TRUE(none.add(""));
  EXPECT_FALSE(none.complete());
}

}  // namespace
}  // namespace terrace::program
