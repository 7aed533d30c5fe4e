#include "config/unparsed.h"

#include <gtest/gtest.h>

namespace terrace::config {
namespace {

// What is shown of the last line of `text`, as if it did not parse.
std::string shown(const std::string& text) {
  std::string name;
  std::string token;
  const std::vector<Table> tables{
      {.name = "site", .about = "", .fields = {{.name = "name", .about = "", .slot = &name}}},
      {.name = "db", .about = "", .fields = {{.name = "url", .about = "", .slot = &token, .secret = true}}}};
  Source source("site.toml", text);
  const int line = source.lines();
  Diagnostic diagnostic{.code = "E001", .message = "m", .where = {{line, 1}, {line, 2}}};
  hide_unparsed(tables, source, diagnostic);
  return source.excerpt(diagnostic.where).text;
}

TEST(Unparsed, AKeyThatIsNoSecretIsShown) {
  EXPECT_EQ(shown("[site]\nname = oops"), "name = oops");
  EXPECT_EQ(shown("site.name = oops"), "site.name = oops");
  EXPECT_EQ(shown("[site"), "[site");
}

TEST(Unparsed, WhatMayBeASecretIsNot) {
  EXPECT_EQ(shown("[db]\nurl = \"hunter2"), "url = ***");
  EXPECT_EQ(shown("[db]\nulr = \"hunter2"), "ulr = ***");
  EXPECT_EQ(shown("[ db ] url = \"hunter2"), "[ db ]***");
  EXPECT_EQ(shown("db.url = \"hunter2"), "db.url = ***");
  EXPECT_EQ(shown("'db'.\"url\" = \"hunter2"), "'db'.\"url\" = ***");
  EXPECT_EQ(shown("db = { url = hunter2"), "db = ***");
  EXPECT_EQ(shown("[db]\n  hunter2"), "***");
  EXPECT_EQ(shown("[site]\nname = \"x\" url = hunter2"), "name = ***");
  EXPECT_EQ(shown("[somewhere]\nname = hunter2"), "name = ***");
}

TEST(Unparsed, ALineInsideALongStringIsHiddenWhole) {
  EXPECT_EQ(shown("[db]\nurl = '''\n[site]\nname = hunter2"), "***");
  EXPECT_EQ(shown("[site]\nname = '''\n'''\nname = x"), "name = x");
}

}  // namespace
}  // namespace terrace::config
