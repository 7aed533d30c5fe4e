#include "topology/database_url.h"

#include <gtest/gtest.h>

#include "config/interpolate.h"

namespace terrace::topology {
namespace {

std::string_view error_of(std::string_view text) {
  const auto url = parse_database_url(text);
  return url ? std::string_view("fine") : url.error();
}

TEST(DatabaseUrl, IsTakenApart) {
  const auto url =
      parse_database_url("MySQL+mysqldb://shop:p%40ss@db.example.com:3307/shop%2Ftest?charset=utf8");
  ASSERT_TRUE(url);
  EXPECT_EQ(*url, (DatabaseUrl{.scheme = "mysql+mysqldb",
                               .user = "shop",
                               .password = "p@ss",
                               .host = "db.example.com",
                               .port = 3307,
                               .name = "shop/test",
                               .query = "charset=utf8"}));
  EXPECT_EQ(url->kind(), "mysql");
}

TEST(DatabaseUrl, MayLackEverythingButItsScheme) {
  EXPECT_EQ(parse_database_url("postgres:///shop")->name, "shop");
  EXPECT_EQ(parse_database_url("redis://db")->host, "db");
  EXPECT_EQ(parse_database_url("redis://:secret@db/0")->password, "secret");
  EXPECT_EQ(parse_database_url("postgres://shop@db/shop")->password, "");
  EXPECT_EQ(parse_database_url("postgres://shop:a:b@db/shop")->password, "a:b");
  EXPECT_EQ(parse_database_url("postgres://%2Fvar%2Frun%2Fpostgresql/shop")->host, "/var/run/postgresql");
}

TEST(DatabaseUrl, KnowsTheUsualPorts) {
  EXPECT_EQ(parse_database_url("postgres://db/shop")->port_or_usual(), 5432);
  EXPECT_EQ(parse_database_url("mysql+pymysql://db/shop")->port_or_usual(), 3306);
  EXPECT_EQ(parse_database_url("mysql://db:1/shop")->port_or_usual(), 1);
  EXPECT_EQ(parse_database_url("postgres:///shop")->port_or_usual(), 0);
  EXPECT_EQ(parse_database_url("unheard-of://db/shop")->port_or_usual(), 0);
}

TEST(DatabaseUrl, HasAnAddressAsItsHostToo) {
  const auto url = parse_database_url("postgres://[2001:db8::7]:5433/shop");
  ASSERT_TRUE(url);
  EXPECT_EQ(url->host, "2001:db8::7");
  EXPECT_EQ(to_text(*url, "postgresql"), "postgresql://[2001:db8::7]:5433/shop");
  EXPECT_EQ(error_of("postgres://[::1/shop"), "the brackets hold no IPv6 address");
  EXPECT_EQ(error_of("postgres://[127.0.0.1]/shop"), "the brackets hold no IPv6 address");
  EXPECT_EQ(error_of("postgres://::1/shop").substr(0, 6), "a port");
}

TEST(DatabaseUrl, OfSqliteIsAnAbsolutePath) {
  EXPECT_EQ(parse_database_url("sqlite:////srv/my%20shop/shop.db?mode=ro")->name, "/srv/my shop/shop.db");
  EXPECT_EQ(error_of("sqlite:///shop.db"), "the path of a SQLite file is absolute: four slashes");
  EXPECT_EQ(error_of("sqlite://srv/shop.db"), "a SQLite file has no host: four slashes and its path");
}

TEST(DatabaseUrl, IsRefusedWhereReadersDisagree) {
  for (const char* text : {"",
                           "shop",
                           "://db",
                           "1a://db",
                           "postgres:db",
                           "postgres://",
                           "post gres://db",
                           "postgres://db/sh op",
                           "postgres://db/shop#",
                           "postgres://a@b@db/shop",
                           "postgres://u:p/w@db/shop",
                           "postgres://u:p?w@db/shop",
                           "postgres://u:p[w@db/shop",
                           "postgres://u:100%@db/shop",
                           "postgres://u:%0@db/shop",
                           "postgres://u:%00@db/shop",
                           "postgres://db:0/shop",
                           "postgres://db:65536/shop",
                           "postgres://db:/shop",
                           "postgres://:5432/shop",
                           "postgres://u@/shop",
                           "postgres://db/a/b",
                           "postgres://a,b/shop",
                           "postgres://a:1,b:2/shop",
                           "postgres://db%3A1/shop",
                           "postgres://d%0Ab/shop",
                           "postgres://db/sh%0Aop",
                           "postgres://db/\xc3\xa9"})
    EXPECT_NE(error_of(text), "fine") << text;
  EXPECT_EQ(error_of("postgres://db/" + std::string(5000, 'x')), "it is longer than 4096 bytes");
  EXPECT_EQ(error_of("postgres://db/" + std::string(1001, 'x')), "a part of it is longer than 1000 bytes");
}

TEST(DatabaseUrl, KeepsEveryByteOfAPassword) {
  std::string password;
  for (int byte = 1; byte < 256; ++byte) password += static_cast<char>(byte);
  const auto url = parse_database_url("postgres://shop:" + config::percent_encode(password) + "@db/shop");
  ASSERT_TRUE(url) << url.error();
  EXPECT_EQ(url->password, password);
  EXPECT_EQ(*parse_database_url(to_text(*url, "postgres")), *url);
}

TEST(DatabaseUrl, GivesATemplateItsValues) {
  const auto url = parse_database_url("mysql://shop:p%40@db/shop");
  EXPECT_EQ(value_of(*url, "host") + value_of(*url, "port") + value_of(*url, "name"), "db3306shop");
  EXPECT_EQ(value_of(*url, "user") + value_of(*url, "password") + value_of(*url, "path"), "shopp@");
  const auto file = parse_database_url("sqlite:////a/b");
  EXPECT_EQ(value_of(*file, "path") + value_of(*file, "name"), "/a/b");
}

}  // namespace
}  // namespace terrace::topology
