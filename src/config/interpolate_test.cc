#include "config/interpolate.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>

#include "base/file.h"

namespace terrace::config {
namespace {

Inputs inputs() {
  return {.environment = [](const std::string& name) -> std::optional<std::string> {
            if (name == "A") return "one";
            if (name == "NESTED") return "${env:A}";
            return std::nullopt;
          },
          .file = [](const std::string& path) -> Result<std::string> {
            if (path == "/etc/shop/key") return "two\r\n";
            return fail_system("open", ENOENT);
          }};
}

std::string text_of(std::string_view text) { return interpolate(text, "/etc/shop", inputs())->text; }

std::string code_of(std::string_view text) { return interpolate(text, "/etc/shop", inputs()).error().code; }

TEST(Interpolate, ReplacesVariablesAndFiles) {
  EXPECT_EQ(text_of("<${env:A}-${file:key}-${file:/etc/shop/key}>"), "<one-two-two>");
  EXPECT_TRUE(interpolate("${env:A}", "/", inputs())->used);
}

TEST(Interpolate, LeavesOtherTextAsItIs) {
  EXPECT_EQ(text_of("$5 $A $$ {env:A} $"), "$5 $A $$ {env:A} $");
  EXPECT_EQ(text_of("$${env:A}"), "${env:A}");
  EXPECT_FALSE(interpolate("$${env:A}", "/", inputs())->used);
}

TEST(Interpolate, DoesNotLookAtWhatItPutIn) { EXPECT_EQ(text_of("${env:NESTED}"), "${env:A}"); }

TEST(Interpolate, SaysWhatCannotBeReplaced) {
  for (const char* text : {"${env:B}", "${env:}", "${env:A", "${A}", "${}", "${file:missing}", "${vault:A}"})
    EXPECT_EQ(code_of(text), "E018") << text;
  EXPECT_EQ(code_of("${secret:A}"), "E017");
}

TEST(Interpolate, ReadsRegularFilesOnlyAndOfALimitedSize) {
  char pattern[] = "/tmp/terrace-interpolate-XXXXXX";
  const std::string folder = ::mkdtemp(pattern);
  ASSERT_TRUE(write_file(folder + "/small", "x\n"));
  ASSERT_TRUE(write_file(folder + "/large", std::string(kInterpolatedBytesMax + 1, 'x')));
  ASSERT_EQ(::mkfifo((folder + "/fifo").c_str(), 0600), 0);
  EXPECT_EQ(interpolate("${file:small}", folder, real_inputs())->text, "x");
  for (const char* name : {"${file:large}", "${file:fifo}", "${file:.}", "${file:missing}"})
    EXPECT_FALSE(interpolate(name, folder, real_inputs())) << name;
  std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace terrace::config
