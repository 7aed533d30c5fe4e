#include "config/diagnostic.h"

#include <gtest/gtest.h>

namespace terrace::config {
namespace {

TEST(Diagnostics, AreRenderedInTheOrderOfTheFileWithACount) {
  const Source source("site.toml", "a = 1\nb = 2\n");
  Diagnostics found;
  found.add({.code = "W001", .severity = Severity::kWarning, .message = "second", .where = {{2, 1}, {2, 2}}});
  found.add({.code = "E012",
             .message = "first",
             .where = {{1, 5}, {1, 6}},
             .label = "here",
             .notes = {"fix: leave it out", "or not"}});
  found.sort();
  EXPECT_EQ(render_text(found, source),
            "error[E012]: first\n"
            " --> site.toml:1:5\n"
            "  |\n"
            "1 | a = 1\n"
            "  |     ^ here\n"
            "  = fix: leave it out\n"
            "  = or not\n"
            "\n"
            "warning[W001]: second\n"
            " --> site.toml:2:1\n"
            "  |\n"
            "2 | b = 2\n"
            "  | ^\n"
            "\n"
            "1 error, 1 warning\n");
}

TEST(Diagnostics, AsJsonHaveTheSameContent) {
  const Source source("site.toml", "a = \"x\"\n");
  Diagnostics found;
  found.add({.code = "E012", .message = "say \"x\"", .where = {{1, 5}, {1, 8}}, .label = "", .notes = {"n"}});
  EXPECT_EQ(render_json(found, source),
            "{\"file\": \"site.toml\", \"errors\": 1, \"warnings\": 0, \"findings\": [\n"
            "  {\"code\": \"E012\", \"severity\": \"error\", \"message\": \"say \\\"x\\\"\", \"line\": 1, "
            "\"column\": 5, \"end_line\": 1, \"end_column\": 8, \"label\": \"\", \"notes\": [\"n\"]}\n"
            "]}\n");
  EXPECT_EQ(render_json(Diagnostics(), source),
            "{\"file\": \"site.toml\", \"errors\": 0, \"warnings\": 0, \"findings\": []}\n");
}

TEST(Diagnostics, OfAFileFullOfMistakesAreCut) {
  Diagnostics found;
  for (size_t i = 0; i < 3 * Diagnostics::kMax; ++i) found.add({.code = "E012", .message = "m"});
  EXPECT_EQ(found.all().size(), Diagnostics::kMax);
  EXPECT_TRUE(render_text(found, Source("x", "")).ends_with("300 errors; the first 100 are shown\n"));
}

}  // namespace
}  // namespace terrace::config
