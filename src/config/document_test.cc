#include "config/document.h"

#include <gtest/gtest.h>

namespace terrace::config {
namespace {

std::string code_of(std::string text) {
  const auto document = parse_document(Source("site.toml", std::move(text)));
  return document ? "" : document.error().code;
}

TEST(Document, KeepsTheOrderOfTheFileAndThePlacesOfKeysAndValues) {
  const auto root = parse_document(Source("site.toml", "[web]\nb = 1\n\ta = [ \"é\", 'x' ]\n[app]\n"));
  ASSERT_TRUE(root);
  ASSERT_EQ(root->children.size(), 2u);
  const Node& web = root->children[0];
  EXPECT_EQ(web.name, "web");
  EXPECT_EQ(web.children[0].name, "b");
  EXPECT_EQ(web.children[1].key.begin, (Position{3, 2}));
  EXPECT_EQ(web.children[1].children[1].where.begin, (Position{3, 13}));
  EXPECT_EQ(web.children[1].children[1].where.end, (Position{3, 16}));
}

TEST(Document, RefusesWhatIsTooLargeOrTooDeep) {
  EXPECT_EQ(code_of(std::string(kFileBytesMax + 1, '\n')), "E003");
  EXPECT_EQ(code_of("a = \"" + std::string(kLineBytesMax, 'x') + "\""), "E003");
  std::string many = "a = [";
  for (int i = 0; i < kValuesMax; ++i) many += i % 100 == 0 ? "\n1," : "1,";
  EXPECT_EQ(code_of(many + "]"), "E003");
}

// Half a million dots would be as many tables, one in the other, and their
// destructors a stack overflow.
TEST(Document, AFloodOfDotsOrBracketsIsRefusedBeforeItIsParsed) {
  std::string dots = "a";
  for (int i = 0; i < 20'000; ++i) dots += ".a";
  EXPECT_EQ(code_of(dots + " = 1"), "E003");
  EXPECT_EQ(code_of("[" + dots + "]"), "E003");
  EXPECT_EQ(code_of("a = " + std::string(20'000, '[')), "E003");
  EXPECT_EQ(code_of("a = \"" + dots + "\"\n# " + dots), "") << "dots in a text are text";
  EXPECT_EQ(code_of("a = \"\"\"\n" + dots + "\n\\\"\"\"\" # [[[[[[[[[[[[[[[[[[[[[["), "");
}

// Each of these made toml++ 3.3 assert, or reach what it calls unreachable.
TEST(Document, WhatTheParserTakesForImpossibleIsASyntaxError) {
  EXPECT_EQ(code_of("[!web]"), "E001");
  EXPECT_EQ(code_of("[ \n]"), "E001");
  EXPECT_EQ(code_of("\u01e4 = 1"), "E001");
  EXPECT_EQ(code_of("a = \u01e4"), "E001");
  EXPECT_EQ(code_of("a = \"\"\"b \\\n  \u00e9\"\"\""), "");
}

TEST(Document, BytesThatAreNotUtf8AreAnErrorOfTheirOwn) { EXPECT_EQ(code_of("a = \"\xff\""), "E004"); }

}  // namespace
}  // namespace terrace::config
