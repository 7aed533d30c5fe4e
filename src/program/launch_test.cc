#include "program/launch.h"

#include <gtest/gtest.h>

#include <map>

namespace terrace::program {
namespace {

topology::Site shop() {
  topology::Site site;
  site.site.name = "shop";
  site.app.run = "npm start";
  site.app.folder = "/srv/shop";
  site.app.env = {{"MODE", "production"}};
  return site;
}

std::map<std::string, std::string> environment(const topology::Site& site, const ListenPlace& place,
                                               bool root = false) {
  const EnvironmentOptions options{
      .root = root, .state_folder = "/state", .own = [](const char* name) -> const char* {
        return std::string_view(name) == "PATH" ? "/own/bin" : nullptr;
      }};
  std::map<std::string, std::string> variables;
  for (const auto& [name, value] : instance_environment(site, place, options)) variables[name] = value;
  return variables;
}

TEST(Launch, TheEnvironmentNamesPortDatabaseAndWhatTheSiteSays) {
  const auto variables = environment(shop(), {.port = 20'001});
  EXPECT_EQ(variables.at("PORT"), "20001");
  EXPECT_EQ(variables.at("DATABASE_URL"), "sqlite:////state/database/shop.sqlite3");
  EXPECT_EQ(variables.at("MODE"), "production");
  EXPECT_EQ(variables.at("PATH"), "/own/bin");
  EXPECT_EQ(variables.count("SOCKET"), 0U);
  EXPECT_EQ(environment(shop(), {.port = 1}, true).at("PATH").find("/own"), std::string::npos);
}

TEST(Launch, AUnixSocketStandsInBothVariables) {
  const auto variables = environment(shop(), {.socket = "/run/x.sock"});
  EXPECT_EQ(variables.at("SOCKET"), "/run/x.sock");
  EXPECT_EQ(variables.at("PORT"), "/run/x.sock");
}

TEST(Launch, AUrlReplacesTheEmbeddedDatabase) {
  topology::Site site = shop();
  site.db.url = "postgres://shop:p%40ss@db/shop";
  EXPECT_EQ(environment(site, {.port = 1}).at("DATABASE_URL"), "postgres://shop:p%40ss@db/shop");
  EXPECT_EQ(environment(site, {.port = 1}).at("DB_HOST"), "db");
  EXPECT_EQ(start_record(site, {}, {.port = 1}, 0, 1)->database_password.view(), "p@ss");
  site.db.url.clear();
  site.db.engine = topology::DbEngine::kNone;
  EXPECT_EQ(environment(site, {.port = 1}).count("DATABASE_URL"), 0U);
}

TEST(Launch, TheRecordCarriesTheEnvironmentAsOneBlock) {
  const Result<StartInstance> record = start_record(shop(), {{"A", "1"}, {"B", ""}}, {.port = 20'001}, 3, 9);
  ASSERT_TRUE(record);
  EXPECT_EQ(std::string(record->environment.data(), record->environment_bytes), std::string("A=1\0B=\0", 7));
  EXPECT_EQ(record->command.view(), "npm start");
  EXPECT_EQ(record->slot, 3U);
  EXPECT_FALSE(start_record(shop(), {{"A", std::string(40'000, 'x')}}, {.port = 20'001}, 0, 1));
}

TEST(Launch, TheRecipeChangesWithWhatAnInstanceIsStartedWithAndNothingElse) {
  topology::Site site = shop();
  const uint64_t before = recipe_of(site);
  site.app.instances = 7;
  site.web.files = "/other";
  EXPECT_EQ(recipe_of(site), before);
  site.app.env = {{"MODEp", "roduction"}};
  EXPECT_NE(recipe_of(site), before);
  const uint64_t after = recipe_of(site);
  site.app.database_url = "rails";
  EXPECT_NE(recipe_of(site), after);
}

TEST(Launch, AFreePortIsNotOneThatWeUse) {
  Random random(1);
  const Result<uint16_t> port = free_port(random, [](uint16_t each) { return each % 2 == 0; });
  ASSERT_TRUE(port);
  EXPECT_EQ(*port % 2, 1);
}

}  // namespace
}  // namespace terrace::program
