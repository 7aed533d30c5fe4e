#include "database/environment.h"

#include <gtest/gtest.h>

#include <map>

#include "config/interpolate.h"

namespace terrace::database {
namespace {

topology::Site site_of(const std::string& url, const std::string& style = "plain") {
  topology::Site site;
  site.site.name = "shop";
  site.app.database_url = style;
  site.db.url = url;
  if (!url.empty()) site.db.engine = topology::DbEngine::kNone;
  return site;
}

std::map<std::string, std::string> variables_of(const topology::Site& site,
                                                const std::string& folder = "/state/database") {
  std::map<std::string, std::string> variables;
  for (const auto& [name, value] : environment_of(site, folder).variables) variables[name] = value;
  return variables;
}

std::string url_of(const std::string& url, const std::string& style, const std::string& folder = "/state") {
  return variables_of(site_of(url, style), folder).at("DATABASE_URL");
}

TEST(DatabaseEnvironment, OfSqliteIsAPathInTheFormOfTheFramework) {
  EXPECT_EQ(url_of("", "plain"), "sqlite:////state/shop.sqlite3");
  EXPECT_EQ(url_of("", "rails"), "sqlite3:/state/shop.sqlite3");
  EXPECT_EQ(url_of("", "sqlalchemy"), "sqlite:////state/shop.sqlite3");
  EXPECT_EQ(url_of("", "file:{path}?mode=rwc"), "file:/state/shop.sqlite3?mode=rwc");
  EXPECT_EQ(variables_of(site_of("")),
            (std::map<std::string, std::string>{{"DATABASE_URL", "sqlite:////state/database/shop.sqlite3"},
                                                {"DB_PATH", "/state/database/shop.sqlite3"}}));
}

TEST(DatabaseEnvironment, OfAPathWithBlanksIsWhatEachFrameworkDecodes) {
  EXPECT_EQ(url_of("", "plain", "/my 100% site?"), "sqlite:////my 100%25 site%3F/shop.sqlite3");
  EXPECT_EQ(url_of("", "rails", "/my 100% site"), "sqlite3:/my%20100%25%20site/shop.sqlite3");
  EXPECT_EQ(url_of("", "sqlalchemy", "/my 100% site"), "sqlite:////my 100% site/shop.sqlite3");
}

TEST(DatabaseEnvironment, OfAServerIsItsUrlAndTheSameInParts) {
  const auto variables = variables_of(site_of("mysql://shop:p%40ss@db.example.com/shop?charset=utf8"));
  EXPECT_EQ(variables, (std::map<std::string, std::string>{
                           {"DATABASE_URL", "mysql://shop:p%40ss@db.example.com/shop?charset=utf8"},
                           {"DB_HOST", "db.example.com"},
                           {"DB_NAME", "shop"},
                           {"DB_PORT", "3306"},
                           {"DB_USER", "shop"}}));
  EXPECT_EQ(environment_of(site_of("mysql://shop:p%40ss@db/shop"), "/").password, "p@ss");
}

TEST(DatabaseEnvironment, NamesTheDialectAsTheFrameworkDoes) {
  EXPECT_EQ(url_of("mysql://db/shop", "rails"), "mysql2://db/shop");
  EXPECT_EQ(url_of("mariadb://db/shop", "rails"), "mysql2://db/shop");
  EXPECT_EQ(url_of("trilogy://db/shop", "rails"), "trilogy://db/shop");
  EXPECT_EQ(url_of("postgres://db/shop", "rails"), "postgresql://db/shop");
  EXPECT_EQ(url_of("mysql+pymysql://db/shop", "rails"), "mysql2://db/shop");
  EXPECT_EQ(url_of("mysql://db/shop", "sqlalchemy"), "mysql+mysqldb://db/shop");
  EXPECT_EQ(url_of("mysql+pymysql://db/shop", "sqlalchemy"), "mysql+pymysql://db/shop");
  EXPECT_EQ(url_of("postgres://db/shop", "sqlalchemy"), "postgresql://db/shop");
  EXPECT_EQ(url_of("cockroachdb://db/shop", "sqlalchemy"), "cockroachdb://db/shop");
  EXPECT_EQ(url_of("sqlite:////srv/a.db", "rails"), "sqlite3:/srv/a.db");
}

TEST(DatabaseEnvironment, KeepsEveryCharacterOfAPasswordInEveryForm) {
  const std::string password = " !\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~\xc3\xa9\n";
  const std::string encoded = config::percent_encode(password);
  const std::string url = "mysql://shop:" + encoded + "@[2001:db8::7]:3307/shop";
  EXPECT_EQ(url_of(url, "plain"), url);
  EXPECT_EQ(url_of(url, "rails"), "mysql2://shop:" + encoded + "@[2001:db8::7]:3307/shop");
  EXPECT_EQ(url_of(url, "sqlalchemy"), "mysql+mysqldb://shop:" + encoded + "@[2001:db8::7]:3307/shop");
  EXPECT_EQ(url_of(url, "x://{user}:{password}@{host}"), "x://shop:" + encoded + "@[2001:db8::7]");
  EXPECT_EQ(environment_of(site_of(url), "/").password, password);
}

TEST(DatabaseEnvironment, IsEmptyWithoutADatabase) {
  topology::Site site = site_of("");
  site.db.engine = topology::DbEngine::kNone;
  EXPECT_TRUE(variables_of(site).empty());
}

}  // namespace
}  // namespace terrace::database
