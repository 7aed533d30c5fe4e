#include "pages.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace guestbook {
namespace {

using testing::HasSubstr;
using testing::Not;

Page page_with(const std::string& name, const std::string& message) {
  Page page;
  page.entries = {{.id = 7, .name = name, .message = message, .created_at = 0}};
  page.total = 1;
  return page;
}

TEST(Pages, ShowAnEntryWithItsTime) {
  const std::string text = html(page_with("Ada", "Hello"));
  EXPECT_THAT(text, HasSubstr("<p class=\"message\">Hello</p>"));
  EXPECT_THAT(text, HasSubstr("<time datetime=\"1970-01-01T00:00:00Z\">01 January 1970, 00:00 UTC</time>"));
  EXPECT_THAT(text, HasSubstr("id=\"entry-7\""));
}

TEST(Pages, NeverLetAVisitorWriteHtml) {
  Page page = page_with("<b>\"x'", "<script>alert(1)</script> & {name}");
  page.draft = {.name = "\"><script>", .message = "</textarea><script>", .problem = "No."};
  const std::string text = html(page);
  EXPECT_THAT(text, Not(HasSubstr("<script>")));
  EXPECT_THAT(text, Not(HasSubstr("<b>")));
  EXPECT_THAT(text, HasSubstr("&lt;script&gt;alert(1)&lt;/script&gt; &amp; {name}"));
}

TEST(Pages, LinkToTheirNeighbours) {
  Page page;
  page.number = 2;
  page.pages = 3;
  EXPECT_THAT(html(page), HasSubstr("href=\"/?page=1\""));
  EXPECT_THAT(html(page), HasSubstr("href=\"/?page=3\""));
  page.number = 3;
  EXPECT_THAT(html(page), Not(HasSubstr("rel=\"next\"")));
}

TEST(Json, QuotesWhatNeedsIt) {
  EXPECT_EQ(json(page_with("a\"\\\n", "ü").entries[0]),
            R"({"id":7,"name":"a\"\\\n","message":"ü","created_at":"1970-01-01T00:00:00Z"})");
}

TEST(Json, ListsAPage) {
  Page page = page_with("a", "b");
  page.entries.push_back(page.entries[0]);
  EXPECT_EQ(json(page),
            R"({"entries":[{"id":7,"name":"a","message":"b","created_at":"1970-01-01T00:00:00Z"},)"
            R"({"id":7,"name":"a","message":"b","created_at":"1970-01-01T00:00:00Z"}],)"
            "\"page\":1,\"pages\":1,\"total\":1}\n");
}

}  // namespace
}  // namespace guestbook
