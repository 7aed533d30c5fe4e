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
          },
          .secret = [](const std::string& name) -> Result<std::string> {
            if (name == "A") return "three";
            if (name == "HARD") return "p@s:s/w%rd?";
            if (name == "LOCKED") return fail(Code::kUnavailable, "secret");
            return fail(Code::kNotFound, "secret");
          }};
}

const InterpolatedPlace kPlace{.folder = "/etc/shop", .secrets = true};

std::string text_of(std::string_view text) { return interpolate(text, kPlace, inputs())->text; }

std::string code_of(std::string_view text) { return interpolate(text, kPlace, inputs()).error().code; }

std::string url_of(std::string_view text) {
  return interpolate(text, {.folder = "/etc/shop", .secrets = true, .url = true}, inputs())->text;
}

TEST(Interpolate, ReplacesVariablesAndFiles) {
  EXPECT_EQ(text_of("<${env:A}-${file:key}-${file:/etc/shop/key}-${secret:A}>"), "<one-two-two-three>");
  EXPECT_TRUE(interpolate("${env:A}", kPlace, inputs())->used);
}

TEST(Interpolate, LeavesOtherTextAsItIs) {
  EXPECT_EQ(text_of("$5 $A $$ {env:A} $"), "$5 $A $$ {env:A} $");
  EXPECT_EQ(text_of("$${env:A}"), "${env:A}");
  EXPECT_FALSE(interpolate("$${env:A}", kPlace, inputs())->used);
}

TEST(Interpolate, DoesNotLookAtWhatItPutIn) { EXPECT_EQ(text_of("${env:NESTED}"), "${env:A}"); }

TEST(Interpolate, SaysWhatCannotBeReplaced) {
  for (const char* text : {"${env:B}", "${env:}", "${env:A", "${A}", "${}", "${file:missing}", "${vault:A}"})
    EXPECT_EQ(code_of(text), "E018") << text;
  for (const char* text : {"${secret:B}", "${secret:a b}", "${secret:1A}", "${secret:../A}", "${secret:}"})
    EXPECT_EQ(code_of(text), "E018") << text;
  EXPECT_EQ(code_of("${secret:LOCKED}"), "W002");
}

TEST(Interpolate, GivesSecretsOnlyToWhatIsNeverShown) {
  const auto refused = interpolate("${secret:A}", {.folder = "/"}, inputs());
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, "E018");
}

TEST(Interpolate, EncodesWhatItPutsIntoAUrlAsUserPasswordOrQuery) {
  EXPECT_EQ(url_of("mysql://shop:${secret:HARD}@db/shop"), "mysql://shop:p%40s%3As%2Fw%25rd%3F@db/shop");
  EXPECT_EQ(url_of("mysql://${secret:HARD}:${secret:A}@db/shop"),
            "mysql://p%40s%3As%2Fw%25rd%3F:three@db/shop");
  EXPECT_EQ(url_of("mysql://db/shop?password=${secret:HARD}"),
            "mysql://db/shop?password=p%40s%3As%2Fw%25rd%3F");
}

TEST(Interpolate, PutsWholeUrlsHostsAndNamesInAsTheyAre) {
  EXPECT_EQ(url_of("${secret:HARD}"), "p@s:s/w%rd?");
  EXPECT_EQ(url_of("mysql://shop@${secret:HARD}/shop"), "mysql://shop@p@s:s/w%rd?/shop");
  EXPECT_EQ(url_of("mysql://db/${secret:HARD}"), "mysql://db/p@s:s/w%rd?");
}

TEST(Interpolate, ReadsRegularFilesOnlyAndOfALimitedSize) {
  char pattern[] = "/tmp/terrace-interpolate-XXXXXX";
  const std::string folder = ::mkdtemp(pattern);
  ASSERT_TRUE(write_file(folder + "/small", "x\n"));
  ASSERT_TRUE(write_file(folder + "/large", std::string(kInterpolatedBytesMax + 1, 'x')));
  ASSERT_EQ(::mkfifo((folder + "/fifo").c_str(), 0600), 0);
  EXPECT_EQ(interpolate("${file:small}", {.folder = folder}, real_inputs())->text, "x");
  for (const char* name : {"${file:large}", "${file:fifo}", "${file:.}", "${file:missing}"})
    EXPECT_FALSE(interpolate(name, {.folder = folder}, real_inputs())) << name;
  std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace terrace::config
