#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <filesystem>

#include "base/file.h"
#include "topology/codes.h"
#include "topology/fields.h"
#include "topology/load.h"

// tests/site holds site files and, beside each, exactly what Terrace says of it:
// the diagnostics, and for a site that can be served every value of it. With
// TERRACE_REGENERATE=1 in the environment the texts are written instead of
// compared; then read the difference.

namespace terrace::topology {
namespace {

namespace fs = std::filesystem;

const fs::path kCases = fs::path(TERRACE_SOURCE_DIR) / "tests/site";

bool regenerate() { return std::getenv("TERRACE_REGENERATE") != nullptr; }

std::string content_of(const fs::path& path) { return read_file(path.string(), 1 << 20).value_or(""); }

// The world of the cases. The secrets in it must never be seen.
LoadOptions world() {
  LoadOptions options;
  options.shown_as = "site.toml";
  options.inputs.environment = [](const std::string& name) -> std::optional<std::string> {
    if (name == "TOKEN") return "hunter2";
    if (name == "LINES") return "hunter2\r\nSet-Cookie: hunter2";
    if (name == "SECONDS") return "77777";
    return std::nullopt;
  };
  options.inputs.file = [](const std::string& path) -> Result<std::string> {
    if (path == "/srv/shop/secret.txt") return "hunter2\n";
    if (path == "/srv") return fail(Code::kInvalid, "open", "not a regular file");
    return fail_system("open", ENOENT);
  };
  options.inputs.secret = [](const std::string& name) -> Result<std::string> {
    if (name == "KEY") return "hunter2";
    if (name == "PASSWORD") return "hunter2@/:%?#[] &=+\\\"";
    if (name == "LOCKED") return fail(Code::kUnavailable, "secret");
    if (name == "BROKEN") return fail_system("read", EIO);
    return fail(Code::kNotFound, "secret");
  };
  options.path_kind = [](const std::string& path) {
    constexpr std::array kFolders{"/srv/shop", "/srv/shop/public", "/srv/shop/app"};
    constexpr std::array kFiles{"/srv/shop/public/404.html", "/srv/shop/file.txt"};
    if (std::ranges::find(kFolders, path) != kFolders.end()) return PathKind::kFolder;
    return std::ranges::find(kFiles, path) != kFiles.end() ? PathKind::kFile : PathKind::kMissing;
  };
  return options;
}

std::string outcome(const fs::path& file) {
  const LoadedSite loaded = load_site_text(content_of(file), "/srv/shop/site.toml", world());
  if (!loaded.site) return loaded.text;
  return loaded.text + (loaded.text.empty() ? "" : "\n") + describe(*loaded.site);
}

std::vector<fs::path> cases() {
  std::vector<fs::path> files;
  for (const auto& entry : fs::directory_iterator(kCases)) {
    if (entry.path().extension() == ".toml") files.push_back(entry.path());
  }
  std::ranges::sort(files);
  return files;
}

fs::path expected_of(fs::path file) { return file.replace_extension(".txt"); }

// What the expected texts of all cases whose name begins with `prefix` say.
std::string all_texts(std::string_view prefix) {
  std::string text;
  for (const fs::path& file : cases()) {
    if (file.filename().string().starts_with(prefix)) text += content_of(expected_of(file));
  }
  return text;
}

struct Key {
  std::string path;  // "app.run", "servers.main.roles"
  std::string name;
  bool ranged = false;
};

std::vector<Key> all_keys() {
  std::vector<Key> keys;
  Site site;
  for (const config::Table& table : site_tables(site)) {
    const std::string path = std::string(table.name) + (table.entry ? ".main." : ".");
    for (const config::Field& field : table.entry ? table.entry("main") : table.fields) {
      if (!field.later.empty()) continue;
      const bool counted = std::holds_alternative<std::vector<std::string>*>(field.slot) && field.minimum > 0;
      const bool ranged = std::holds_alternative<int*>(field.slot) ||
                          std::holds_alternative<int64_t*>(field.slot) ||
                          std::holds_alternative<std::chrono::milliseconds*>(field.slot) || counted;
      keys.push_back({path + std::string(field.name), std::string(field.name), ranged});
    }
  }
  return keys;
}

TEST(SiteFile, SaysExactlyWhatIsWritten) {
  for (const fs::path& file : cases()) {
    SCOPED_TRACE(file.filename().string());
    const std::string text = outcome(file);
    if (regenerate())
      ASSERT_TRUE(write_file(expected_of(file).string(), text));
    else
      EXPECT_EQ(text, content_of(expected_of(file)));
  }
}

TEST(SiteFile, NeverShowsASecret) {
  for (const fs::path& file : cases()) {
    SCOPED_TRACE(file.filename().string());
    EXPECT_THAT(outcome(file), testing::Not(testing::HasSubstr("hunter2")));
    const LoadedSite loaded = load_site_text(content_of(file), "/srv/shop/site.toml", world());
    EXPECT_THAT(loaded.json, testing::Not(testing::HasSubstr("hunter2")));
  }
}

TEST(SiteFile, ReadsTheSameFromItsResolvedText) {
  for (const fs::path& file : cases()) {
    SCOPED_TRACE(file.filename().string());
    const LoadedSite loaded = load_site_text(content_of(file), "/srv/shop/site.toml", world());
    if (!loaded.site) continue;
    LoadOptions options = world();
    options.inputs = {};
    options.resolve = without_secrets;
    const LoadedSite again = load_site_text(resolved_text(*loaded.site), "/srv/shop/site.toml", options);
    ASSERT_TRUE(again.site) << again.text;
    for (const std::string& line : difference(*loaded.site, *again.site))
      EXPECT_THAT(line, testing::AnyOf(testing::StartsWith("app: env"), testing::StartsWith("db: url")));
    EXPECT_EQ(again.site->servers, loaded.site->servers);
  }
}

TEST(SiteFile, HasACaseOfTheWrongTypeForEveryKey) {
  const std::string text = all_texts("wrong-type-");
  for (const Key& key : all_keys()) EXPECT_THAT(text, testing::HasSubstr("`" + key.path + "` must be "));
}

TEST(SiteFile, HasACaseOutOfRangeForEveryKeyWithARange) {
  const std::string text = all_texts("out-of-range-");
  for (const Key& key : all_keys()) {
    if (key.ranged) EXPECT_THAT(text, testing::ContainsRegex("`" + key.path + "` must (be|hold) between"));
  }
}

TEST(SiteFile, HasANearMissForEveryKey) {
  const std::string text = all_texts("near-miss-");
  for (const Key& key : all_keys()) EXPECT_THAT(text, testing::HasSubstr("did you mean `" + key.name + "`?"));
}

TEST(SiteFile, ShowsTheDefaultOfEveryKeyThatIsMissing) {
  const std::string text = all_texts("missing-");
  for (const Key& key : all_keys()) {
    if (key.path.find(".main.") == std::string::npos) EXPECT_THAT(text, testing::HasSubstr(key.path + " = "));
  }
}

TEST(SiteFile, HasACaseForEveryCode) {
  const std::string text = all_texts("");
  for (const CodeMeaning& meaning : all_codes()) {
    if (meaning.code == "E005") continue;  // a file that cannot be read is no case of a text
    EXPECT_THAT(text, testing::HasSubstr("[" + std::string(meaning.code) + "]"));
  }
}

}  // namespace
}  // namespace terrace::topology
