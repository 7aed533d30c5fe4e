#include "topology/load.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace terrace::topology {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

// A world with two variables, one file, and folders that all exist.
LoadOptions world() {
  LoadOptions options;
  options.inputs.environment = [](const std::string& name) -> std::optional<std::string> {
    if (name == "TOKEN") return "hunter2";
    if (name == "PORT_OF_SITE") return "127.0.0.1:9999";
    return std::nullopt;
  };
  options.inputs.file = [](const std::string& path) -> Result<std::string> {
    if (path == "/srv/shop/secret.txt") return "from-a-file\n";
    return fail_system("open", ENOENT);
  };
  options.path_kind = [](const std::string&) { return PathKind::kFolder; };
  return options;
}

LoadedSite load(std::string text, const LoadOptions& options = world()) {
  return load_site_text(std::move(text), "/srv/shop/site.toml", options);
}

TEST(Load, AMinimalFileGetsEveryDefault) {
  const LoadedSite loaded = load("[app]\nrun = \"npm start\"\n");
  ASSERT_TRUE(loaded.site) << loaded.text;
  EXPECT_EQ(loaded.text, "");
  EXPECT_EQ(loaded.site->app.run, "npm start");
  EXPECT_EQ(loaded.site->app.folder, "/srv/shop");
  EXPECT_THAT(loaded.site->web.listen, ElementsAre("127.0.0.1:8080", "[::1]:8080"));
  EXPECT_EQ(loaded.site->db.engine, DbEngine::kSqlite);
}

TEST(Load, OneServerMakesItPublicOnPort80) {
  const LoadedSite loaded = load("[app]\nrun = \"x\"\n[servers]\nmain = { address = \"203.0.113.7\" }\n");
  ASSERT_TRUE(loaded.site) << loaded.text;
  EXPECT_THAT(loaded.site->web.listen, ElementsAre("0.0.0.0:80", "[::]:80"));
  EXPECT_THAT(loaded.site->servers[0].roles, ElementsAre(Role::kWeb, Role::kApp, Role::kDb));
}

TEST(Load, RelativeFoldersStandBesideTheFile) {
  const LoadedSite loaded = load("[app]\nrun = \"x\"\nfolder = \"../other\"\n[web]\nfiles = \"public/\"\n");
  ASSERT_TRUE(loaded.site) << loaded.text;
  EXPECT_EQ(loaded.site->app.folder, "/srv/other");
  EXPECT_EQ(loaded.site->web.files, "/srv/shop/public");
}

TEST(Load, TheDesignsErrorLooksLikeTheDesign) {
  const LoadedSite loaded = load(
      "[app]\nrun = \"x\"\n[servers]\n"
      "app1 = { address = \"10.0.0.21\", rols = [\"web\", \"app\"] }\n");
  EXPECT_EQ(loaded.text,
            "error[E012]: unknown key `rols` in server `app1`\n"
            " --> /srv/shop/site.toml:4:33\n"
            "  |\n"
            "4 | app1 = { address = \"10.0.0.21\", rols = [\"web\", \"app\"] }\n"
            "  |                                 ^^^^ did you mean `roles`?\n"
            "\n"
            "1 error\n");
}

TEST(Load, ValuesComeFromTheEnvironmentAndFromFiles) {
  const LoadedSite loaded = load(
      "[app]\nrun = \"x\"\nenv = { A = \"<${env:TOKEN}>\", B = \"${file:secret.txt}\", C = \"$${literal}\" "
      "}\n");
  ASSERT_TRUE(loaded.site) << loaded.text;
  EXPECT_THAT(loaded.site->app.env,
              ElementsAre(Named{"A", "<hunter2>"}, Named{"B", "from-a-file"}, Named{"C", "${literal}"}));
}

TEST(Load, TheWorkerReadsNoSecretOfTheApplication) {
  LoadOptions options = world();
  options.resolve = without_secrets;
  options.inputs.file = [](const std::string&) -> Result<std::string> {
    ADD_FAILURE() << "a file was read";
    return fail(Code::kNotFound, "file");
  };
  const LoadedSite loaded = load(
      "[app]\nrun = \"x\"\nuser = \"${env:MISSING}\"\nenv = { B = \"${file:secret.txt}\", C = \"plain\" }\n"
      "[web]\nlisten = [\"${env:PORT_OF_SITE}\"]\n",
      options);
  ASSERT_TRUE(loaded.site) << loaded.text;
  EXPECT_TRUE(loaded.site->app.env.empty());
  EXPECT_EQ(loaded.site->app.user, "${env:MISSING}");
  EXPECT_THAT(loaded.site->web.listen, ElementsAre("127.0.0.1:9999"));
}

TEST(Load, AFileThatIsMissingIsUnreadable) {
  const LoadedSite loaded = load_site("/nowhere/site.toml");
  EXPECT_TRUE(loaded.unreadable);
  EXPECT_EQ(loaded.text,
            "error[E005]: the site file cannot be read\n"
            " --> /nowhere/site.toml\n"
            "  = No such file or directory\n"
            "\n"
            "1 error\n");
}

TEST(Load, AnErrorPageThatTheWebServerWouldRefuseIsAnError) {
  LoadOptions options = world();
  options.path_kind = [](const std::string& path) {
    return path.ends_with(".html") ? PathKind::kFile : PathKind::kFolder;
  };
  options.file_bytes = [](const std::string& path) {
    return kErrorPageBytesMax + (path.ends_with("large.html") ? 1 : 0);
  };
  const std::string text = "[web]\nfiles = \"public\"\nerrors = { 404 = \"404.html\" }\n";
  EXPECT_TRUE(load(text, options).site);
  const LoadedSite loaded = load("[web]\nfiles = \"public\"\nerrors = { 404 = \"large.html\" }\n", options);
  EXPECT_FALSE(loaded.site);
  EXPECT_THAT(loaded.text, HasSubstr("error[E021]: the page for 404 is larger than 1 MiB"));
}

TEST(Derive, InstancesFollowTheCoresUnlessTheFileSaysOtherwise) {
  const LoadedSite free = load("[app]\nrun = \"x\"\n");
  EXPECT_EQ(derive(*free.site, {.cores = 4}).instances, 4);
  const LoadedSite fixed = load("[app]\nrun = \"x\"\ninstances = 3\n");
  EXPECT_EQ(derive(*fixed.site, {.cores = 4}).instances, 3);
  const LoadedSite files = load("[web]\nfiles = \"public\"\n");
  EXPECT_EQ(derive(*files.site, {.cores = 4}).instances, 0);
}

TEST(Derive, WhereMemoryIsShortThereAreFewerInstances) {
  const LoadedSite site = load("[app]\nrun = \"x\"\n");
  const Derived derived = derive(*site.site, {.cores = 8, .memory_bytes = 512LL << 20});
  EXPECT_EQ(derived.instances, 3);
  EXPECT_EQ(derived.shown[0].value, "3, which 512 MiB of memory have room for; there are 8 cores");
  EXPECT_EQ(derive(*site.site, {.cores = 8, .memory_bytes = 64LL << 20}).instances, 1);
  EXPECT_EQ(derive(*site.site, {.cores = 8, .memory_bytes = 4LL << 30}).instances, 8);
  const LoadedSite small = load("[app]\nrun = \"x\"\nmemory = \"48MiB\"\n");
  EXPECT_EQ(derive(*small.site, {.cores = 8, .memory_bytes = 512LL << 20}).instances, 8);
  const LoadedSite fixed = load("[app]\nrun = \"x\"\ninstances = 6\n");
  EXPECT_EQ(derive(*fixed.site, {.cores = 8, .memory_bytes = 512LL << 20}).instances, 6);
}

TEST(Derive, WhatTheWorkerKeepsFollowsTheMemoryOfACore) {
  const LoadedSite site = load("[web]\nfiles = \"public\"\n");
  const Derived small = derive(*site.site, {.cores = 2, .memory_bytes = 512LL << 20});
  EXPECT_EQ(small.cache_bytes_max, 8 << 20);
  EXPECT_EQ(small.cache_entries_max, 1024U);
  EXPECT_EQ(small.buffers_max, 1864U);
  EXPECT_EQ(small.connections_max, 8192);
  const Derived large = derive(*site.site, {.cores = 4, .memory_bytes = 64LL << 30});
  EXPECT_EQ(large.cache_bytes_max, 256 << 20);
  EXPECT_EQ(large.cache_entries_max, 16'384U);
  EXPECT_EQ(large.buffers_max, 65'536U);
  EXPECT_EQ(large.connections_max, 100'000);
  const LoadedSite fixed = load("[app]\nrun = \"x\"\n[web]\nconnections_max = 77\n");
  EXPECT_EQ(derive(*fixed.site, {.cores = 4, .memory_bytes = 64LL << 30}).connections_max, 77);
}

}  // namespace
}  // namespace terrace::topology
