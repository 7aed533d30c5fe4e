#include "config/source.h"

#include <gtest/gtest.h>

namespace terrace::config {
namespace {

Source::Excerpt excerpt(const std::string& text, int begin, int end) {
  return Source("site.toml", text).excerpt({{1, begin}, {1, end}});
}

TEST(Source, LinesAreCountedFromOneWithoutTheirEnds) {
  const Source source("site.toml", "a\r\nb\n\nc");
  EXPECT_EQ(source.lines(), 4);
  EXPECT_EQ(source.line(1), "a");
  EXPECT_EQ(source.line(3), "");
  EXPECT_EQ(source.line(4), "c");
  EXPECT_EQ(source.line(5), "");
}

TEST(Source, ATabIsFourBlanksUnderTheCarets) {
  const auto shown = excerpt("\ta\tbc", 4, 6);
  EXPECT_EQ(shown.text, "    a    bc");
  EXPECT_EQ(shown.caret_offset, 9);
  EXPECT_EQ(shown.caret_width, 2);
}

TEST(Source, WideCharactersTakeTwoCellsAndCombiningMarksNone) {
  const auto wide = excerpt("日本=x", 4, 5);
  EXPECT_EQ(wide.caret_offset, 5);
  const auto combined = excerpt("e\u0301=x", 3, 4);
  EXPECT_EQ(combined.caret_offset, 1);
}

TEST(Source, WhatATerminalWouldObeyIsReplaced) {
  EXPECT_EQ(excerpt("a\x1b[31m\u202e\xff", 1, 2).text, "a\ufffd[31m\ufffd\ufffd");
  EXPECT_EQ(printable("a\x1b\nb"), "a\ufffd\ufffdb");
}

TEST(Source, AHiddenSpanShowsNeitherItsTextNorItsLength) {
  Source source("site.toml", "a = \"secret\", b = 1");
  source.hide({{1, 5}, {1, 13}});
  const auto before = source.excerpt({{1, 5}, {1, 13}});
  EXPECT_EQ(before.text, "a = ***, b = 1");
  EXPECT_EQ(before.caret_offset, 4);
  EXPECT_EQ(before.caret_width, 3);
  const auto behind = source.excerpt({{1, 15}, {1, 16}});
  EXPECT_EQ(behind.caret_offset, 9);
  const auto inside = source.excerpt({{1, 8}, {1, 9}});
  EXPECT_EQ(inside.caret_offset, 4);
}

TEST(Source, AHiddenSpanMayCrossLines) {
  Source source("site.toml", "a = \"\"\"\nsecret\nmore\"\"\" # end");
  source.hide({{1, 5}, {3, 8}});
  EXPECT_EQ(source.excerpt({{1, 1}, {1, 2}}).text, "a = ***");
  EXPECT_EQ(source.excerpt({{2, 1}, {2, 2}}).text, "***");
  EXPECT_EQ(source.excerpt({{3, 1}, {3, 2}}).text, "*** # end");
}

TEST(Source, ALongLineIsCutAroundTheCarets) {
  const auto shown = excerpt(std::string(300, 'a') + "b" + std::string(300, 'c'), 301, 302);
  EXPECT_EQ(shown.text.substr(0, 3), "…");
  EXPECT_EQ(shown.text[static_cast<size_t>(shown.caret_offset) + 2], 'b');
  EXPECT_LT(shown.text.size(), 160u);
}

TEST(Source, APlaceBehindTheEndOfALineHasItsCaretThere) {
  const auto shown = excerpt("ab", 3, 3);
  EXPECT_EQ(shown.caret_offset, 2);
  EXPECT_EQ(shown.caret_width, 1);
}

TEST(CodePoints, OverlongAndCutFormsAreNotUtf8) {
  EXPECT_TRUE(first_code_point("é").valid);
  EXPECT_FALSE(first_code_point("\xc0\xaf").valid);
  EXPECT_FALSE(first_code_point("\xe0\x80\x80").valid);
  EXPECT_FALSE(first_code_point("\xed\xa0\x80").valid);
  EXPECT_FALSE(first_code_point("\xe2\x82").valid);
  EXPECT_EQ(first_code_point("\xff").bytes, 1u);
}

}  // namespace
}  // namespace terrace::config
