#include "program/upload.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace terrace::program {
namespace {

std::string joined(UploadFrames& frames, std::string_view bytes) {
  const Result<std::vector<std::string_view>> contents = frames.add(bytes);
  EXPECT_TRUE(contents);
  std::string all;
  for (const std::string_view each : contents.value_or(std::vector<std::string_view>{})) all += each;
  return all;
}

TEST(UploadFrames, ContentsAreTheSameHoweverTheBytesArrive) {
  const std::string long_one(70'000, 'x');
  const std::string sent =
      upload_length(3) + "one" + upload_length(long_one.size()) + long_one + upload_length(0);
  for (const size_t step : {size_t{1}, size_t{3}, size_t{4096}, sent.size()}) {
    UploadFrames frames;
    std::string all;
    for (size_t at = 0; at < sent.size(); at += step) {
      EXPECT_FALSE(frames.complete());
      all += joined(frames, std::string_view(sent).substr(at, step));
    }
    EXPECT_TRUE(frames.complete());
    EXPECT_EQ(all, "one" + long_one);
    EXPECT_EQ(frames.bytes(), 70'003U);
  }
}

TEST(UploadFrames, WhatEndsBeforeTheLastFrameIsNotComplete) {
  UploadFrames frames;
  EXPECT_EQ(joined(frames, upload_length(3) + "one"), "one");
  EXPECT_FALSE(frames.complete());
}

TEST(UploadFrames, AFrameThatIsTooLongAndBytesBehindTheEndAreRefused) {
  UploadFrames frames;
  EXPECT_FALSE(frames.add(upload_length(kUploadFrameBytesMax + 1)));
  UploadFrames ended;
  EXPECT_FALSE(ended.add(upload_length(0) + "x"));
}

}  // namespace
}  // namespace terrace::program
