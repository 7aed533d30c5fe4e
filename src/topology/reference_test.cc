#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <string>
#include <vector>

#include "base/file.h"
#include "topology/load.h"

// docs/site-file.md ends with the reference that the table of fields gives, and
// docs/site.schema.json is the schema. With TERRACE_REGENERATE=1 in the
// environment both are written.

namespace terrace::topology {
namespace {

const std::string kPage = TERRACE_SOURCE_DIR "/docs/site-file.md";
const std::string kSchema = TERRACE_SOURCE_DIR "/docs/site.schema.json";
constexpr std::string_view kReference = "## Reference\n";

bool regenerate() { return std::getenv("TERRACE_REGENERATE") != nullptr; }

std::string content_of(const std::string& path) { return read_file(path, 1 << 20).value_or(""); }

std::vector<std::string> toml_blocks(const std::string& page) {
  constexpr std::string_view kOpen = "```toml\n";
  std::vector<std::string> blocks;
  for (size_t at = page.find(kOpen); at != std::string::npos; at = page.find(kOpen, at)) {
    at += kOpen.size();
    const size_t end = page.find("```\n", at);
    blocks.push_back(page.substr(at, end - at));
  }
  return blocks;
}

TEST(Reference, OfTheManualIsUpToDate) {
  const std::string page = content_of(kPage);
  const size_t reference = page.find(kReference);
  ASSERT_NE(reference, std::string::npos);
  if (regenerate())
    ASSERT_TRUE(write_file(kPage, page.substr(0, reference) + site_manual()));
  else
    EXPECT_EQ(page.substr(reference), site_manual()) << "TERRACE_REGENERATE=1 build/dev/topology_test";
}

TEST(Reference, SchemaIsUpToDate) {
  if (regenerate())
    ASSERT_TRUE(write_file(kSchema, site_schema()));
  else
    EXPECT_EQ(content_of(kSchema), site_schema()) << "TERRACE_REGENERATE=1 build/dev/topology_test";
}

TEST(Reference, ExamplesOfTheManualAreValid) {
  LoadOptions options;
  options.look_at_folders = false;
  options.inputs.environment = [](const std::string&) -> std::optional<std::string> { return "x"; };
  options.inputs.file = [](const std::string&) -> Result<std::string> {
    return "postgres://db.example.com/shop";
  };
  options.inputs.secret = [](const std::string&) -> Result<std::string> { return "p@ss"; };
  const std::vector<std::string> blocks = toml_blocks(content_of(kPage));
  ASSERT_GE(blocks.size(), 2u);
  for (const std::string& block : blocks) {
    const LoadedSite loaded = load_site_text(block, "/srv/shop/site.toml", options);
    EXPECT_EQ(loaded.text, "") << block;
  }
}

TEST(Reference, ManualPageHoldsNoMarkdownAndNoStrayRequest) {
  const std::string page = site_manual_page();
  EXPECT_THAT(page, testing::Not(testing::HasSubstr("`")));
  EXPECT_THAT(page, testing::HasSubstr(".B instances\n"));
  EXPECT_THAT(page, testing::HasSubstr(".B E012\n"));
}

}  // namespace
}  // namespace terrace::topology
