#include "program/manual_page.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace terrace::program {
namespace {

using testing::HasSubstr;
using testing::Not;

TEST(ManualPage, shows_text_as_it_is) {
  const std::vector<CommandWords> commands = {
      {.name = "grow", .about = "Makes it larger", .text = ".a line\n  back\\slash isn't", .options = {}}};
  const std::string page = command_manual_page(commands);
  EXPECT_THAT(page, HasSubstr("\\&.a line\n  back\\eslash isn\\(aqt\n"));
}

TEST(ManualPage, has_every_command_with_its_options) {
  const std::string page = command_manual_page(command_words());
  for (const std::string& name : command_names()) EXPECT_THAT(page, HasSubstr(".SS terrace " + name + "\n"));
  EXPECT_THAT(page, HasSubstr("\\fB\\-\\-follow, \\-f\\fR\n"));
  EXPECT_THAT(page, HasSubstr("\\fB\\-\\-file\\fR \\fIFILE\\fR\n"));
}

TEST(ManualPage, comes_from_markdown) {
  const std::string page = manual_page_of_markdown(
      {"x", "5", "a thing"},
      "### `[web]`\n\n**`files`**: a path\n\nServes `this`.\n\n- one\n\n    a = 1\n    b\n");
  EXPECT_THAT(page,
              HasSubstr(".SH \\fB[web]\\fR\n.SS \\fBfiles\\fR: a path\n.PP\nServes \\fBthis\\fR\\&.\n"));
  EXPECT_THAT(page, HasSubstr(".IP \\(bu 2\none\n.PP\n.RS 4\n.nf\na = 1\nb\n.fi\n.RE\n"));
  EXPECT_THAT(page, Not(HasSubstr("`")));
}

}  // namespace
}  // namespace terrace::program
