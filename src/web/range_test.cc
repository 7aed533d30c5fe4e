#include "web/range.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

namespace terrace::web {
namespace {

using testing::ElementsAre;
using testing::ElementsAreArray;
using Kind = Ranges::Kind;

std::vector<ByteRange> parts(std::string_view value, uint64_t size = 1000) {
  const Ranges ranges = Ranges::parse(value, size);
  return {ranges.parts().begin(), ranges.parts().end()};
}
Kind kind(std::string_view value, uint64_t size = 1000) { return Ranges::parse(value, size).kind(); }

TEST(Range, TakesBothEndsOneEndAndASuffix) {
  EXPECT_THAT(parts("bytes=0-499"), ElementsAre(ByteRange{0, 499}));
  EXPECT_THAT(parts("bytes=500-"), ElementsAre(ByteRange{500, 999}));
  EXPECT_THAT(parts("bytes=-200"), ElementsAre(ByteRange{800, 999}));
  EXPECT_THAT(parts("Bytes=0-0"), ElementsAre(ByteRange{0, 0}));
}

TEST(Range, EndsWhereTheRepresentationEnds) {
  EXPECT_THAT(parts("bytes=900-5000"), ElementsAre(ByteRange{900, 999}));
  EXPECT_THAT(parts("bytes=-5000"), ElementsAre(ByteRange{0, 999}));
  EXPECT_THAT(parts("bytes=900-99999999999999999999999999"), ElementsAre(ByteRange{900, 999}));
}

TEST(Range, KeepsTheOrderOfPartsThatDoNotOverlap) {
  EXPECT_THAT(parts("bytes=500-599, ,0-9"), ElementsAre(ByteRange{500, 599}, ByteRange{0, 9}));
}

TEST(Range, JoinsPartsThatOverlap) {
  EXPECT_THAT(parts("bytes=500-599,0-9,5-20"), ElementsAre(ByteRange{0, 20}, ByteRange{500, 599}));
  EXPECT_THAT(parts("bytes=0-,0-,0-"), ElementsAre(ByteRange{0, 999}));
}

TEST(Range, LeavesOutWhatIsOutside) {
  EXPECT_THAT(parts("bytes=0-9,2000-3000"), ElementsAre(ByteRange{0, 9}));
}

TEST(Range, IsUnsatisfiableWhenAllIsOutside) {
  EXPECT_EQ(kind("bytes=1000-"), Kind::kUnsatisfiable);
  EXPECT_EQ(kind("bytes=2000-3000,4000-"), Kind::kUnsatisfiable);
  EXPECT_EQ(kind("bytes=-0"), Kind::kUnsatisfiable);
  EXPECT_EQ(kind("bytes=0-", 0), Kind::kUnsatisfiable);
  EXPECT_EQ(kind("bytes=-1", 0), Kind::kUnsatisfiable);
  EXPECT_EQ(kind("bytes=99999999999999999999999999-"), Kind::kUnsatisfiable);
}

TEST(Range, IsIgnoredWhenItMakesNoSense) {
  for (const char* value : {"", "bytes", "bytes=", "bytes=,", "bytes=a-b", "bytes=5", "bytes=-", "bytes=9-5",
                            "bytes=0-9,x", "bytes= =0-9", "lines=0-9", "bytes=0x0-9", "bytes=+1-2",
                            "bytes=1 -2", "bytes=1-2-3", "bytes=0-9;q=1"}) {
    EXPECT_EQ(kind(value), Kind::kIgnored) << value;
  }
}

TEST(Range, IsIgnoredWithMorePartsThanALimit) {
  std::string value = "bytes=0-0";
  for (size_t i = 1; i < Ranges::kPartsMax; ++i)
    value += "," + std::to_string(2 * i) + "-" + std::to_string(2 * i);
  EXPECT_EQ(parts(value).size(), Ranges::kPartsMax);
  EXPECT_EQ(kind(value + ",900-900"), Kind::kIgnored);
}

}  // namespace
}  // namespace terrace::web
