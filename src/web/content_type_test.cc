#include "web/content_type.h"

#include <gtest/gtest.h>

namespace terrace::web {
namespace {

TEST(ContentType, KnowsTheFirstTheLastAndACommonExtension) {
  EXPECT_EQ(content_type("/a.3gp").text, "video/3gpp");
  EXPECT_EQ(content_type("/a.zst").text, "application/zstd");
  EXPECT_EQ(content_type("/index.html").text, "text/html; charset=utf-8");
}

TEST(ContentType, IgnoresTheCaseOfTheExtension) {
  EXPECT_EQ(content_type("/A.CSS").text, "text/css; charset=utf-8");
}

TEST(ContentType, LooksAtTheLastExtensionOfTheLastName) {
  EXPECT_EQ(content_type("/v1.html/jquery.min.js").text, "text/javascript; charset=utf-8");
  EXPECT_EQ(content_type("/backup.tar.gz").text, "application/gzip");
  EXPECT_EQ(content_type("/v1.html/readme").text, "application/octet-stream");
}

TEST(ContentType, CallsUnknownOnesBytes) {
  EXPECT_EQ(content_type("/a.xyzzy").text, "application/octet-stream");
  EXPECT_EQ(content_type("/a.").text, "application/octet-stream");
  EXPECT_EQ(content_type("/a.averyverylongextension").text, "application/octet-stream");
}

TEST(ContentType, DoesNotCompressWhatIsCompressed) {
  EXPECT_FALSE(content_type("/a.png").compressible);
  EXPECT_FALSE(content_type("/a.woff2").compressible);
  EXPECT_TRUE(content_type("/a.svg").compressible);
  EXPECT_TRUE(content_type("/a.wasm").compressible);
}

}  // namespace
}  // namespace terrace::web
