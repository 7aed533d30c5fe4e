#include "web/accept_encoding.h"

#include <gtest/gtest.h>

namespace terrace::web {
namespace {

CodingSet all() {
  CodingSet set;
  for (size_t i = 0; i < kCodings; ++i) set.add(static_cast<Coding>(i));
  return set;
}

Coding choice(std::string_view value, CodingSet available = all(), CodingSet preferred = {}) {
  AcceptEncoding accept;
  accept.add(value);
  return accept.choose(available, preferred);
}

int weight(std::string_view value, Coding coding) {
  AcceptEncoding accept;
  accept.add(value);
  return accept.weight(coding);
}

TEST(AcceptEncoding, PrefersTheBetterCodingAmongEquals) {
  EXPECT_EQ(choice("gzip, deflate, br, zstd"), Coding::kBrotli);
  EXPECT_EQ(choice("gzip, zstd"), Coding::kZstd);
  EXPECT_EQ(choice("gzip"), Coding::kGzip);
  EXPECT_EQ(choice("x-gzip"), Coding::kGzip);
  EXPECT_EQ(choice("deflate"), Coding::kIdentity);
  EXPECT_EQ(choice(""), Coding::kIdentity);
}

TEST(AcceptEncoding, FollowsTheWeights) {
  EXPECT_EQ(choice("br;q=0.5, gzip;q=0.8"), Coding::kGzip);
  EXPECT_EQ(choice("br;q=0.5, identity"), Coding::kIdentity);
  EXPECT_EQ(choice("gzip;q=0.001"), Coding::kGzip);
  EXPECT_EQ(choice("br;q=0, gzip"), Coding::kGzip);
  EXPECT_EQ(choice("BR ; Q=0.9, gzip;q=0.8"), Coding::kBrotli);
}

TEST(AcceptEncoding, UnderstandsTheStar) {
  EXPECT_EQ(choice("*"), Coding::kBrotli);
  EXPECT_EQ(choice("*, br;q=0"), Coding::kZstd);
  EXPECT_EQ(choice("gzip, *;q=0"), Coding::kGzip);
  EXPECT_EQ(weight("*;q=0", Coding::kIdentity), 0);
  EXPECT_GT(weight("*;q=0, identity;q=0.5", Coding::kIdentity), 0);
}

TEST(AcceptEncoding, KnowsWhenIdentityIsRefused) {
  EXPECT_EQ(weight("identity;q=0", Coding::kIdentity), 0);
  EXPECT_GT(weight("gzip", Coding::kIdentity), 0);
  EXPECT_EQ(choice("identity;q=0"), Coding::kIdentity);  // nothing fits: the caller asks for the weight
  EXPECT_EQ(choice("gzip;q=0.5, identity;q=0"), Coding::kGzip);
}

TEST(AcceptEncoding, PrefersSiblingsAmongEqualsOnly) {
  CodingSet siblings;
  siblings.add(Coding::kGzip);
  EXPECT_EQ(choice("gzip, br", all(), siblings), Coding::kGzip);
  EXPECT_EQ(choice("gzip;q=0.9, br", all(), siblings), Coding::kBrotli);
}

TEST(AcceptEncoding, ChoosesOnlyWhatIsThere) {
  CodingSet some;
  some.add(Coding::kIdentity);
  some.add(Coding::kGzip);
  EXPECT_EQ(choice("br, gzip;q=0.1", some), Coding::kGzip);
}

TEST(AcceptEncoding, PassesOverWhatMakesNoSense) {
  EXPECT_EQ(choice("br;q=2, gzip"), Coding::kGzip);
  EXPECT_EQ(choice("br;q=1.001, gzip"), Coding::kGzip);
  EXPECT_EQ(choice("br;q=0.1234, gzip"), Coding::kGzip);
  EXPECT_EQ(choice("br;q=, gzip"), Coding::kGzip);
  EXPECT_EQ(choice("br;level=9, gzip"), Coding::kGzip);
  EXPECT_EQ(choice(",,;,gzip,"), Coding::kGzip);
}

TEST(AcceptEncoding, JoinsSeveralLines) {
  AcceptEncoding accept;
  accept.add("gzip;q=0.5");
  accept.add("br");
  EXPECT_EQ(accept.choose(all(), {}), Coding::kBrotli);
}

}  // namespace
}  // namespace terrace::web
