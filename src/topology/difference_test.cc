#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "topology/load.h"

namespace terrace::topology {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

std::shared_ptr<const Site> site(const std::string& text, const std::string& token = "hunter2") {
  LoadOptions options;
  options.look_at_folders = false;
  options.inputs.environment = [token](const std::string&) -> std::optional<std::string> { return token; };
  const LoadedSite loaded = load_site_text(text, "/srv/shop/site.toml", options);
  EXPECT_TRUE(loaded.site) << loaded.text;
  return loaded.site;
}

std::vector<std::string> between(const std::string& before, const std::string& after) {
  return difference(*site(before), *site(after));
}

TEST(Difference, OfASiteToItselfIsNothing) {
  const std::string text = "[app]\nrun = \"x\"\nenv = { A = \"${env:T}\" }\n[web.headers]\nX-A = \"b\"\n";
  EXPECT_THAT(between(text, text), IsEmpty());
}

TEST(Difference, IsSaidInWords) {
  EXPECT_THAT(between("[app]\nrun = \"x\"\ninstances = 2\n",
                      "[app]\nrun = \"x\"\ninstances = 4\nhealth = \"/up\"\ngrace = \"10s\"\n[site]\n"
                      "domain = \"shop.example.com\"\n"),
              ElementsAre("site: domain none -> \"shop.example.com\"", "app: instances 2 -> 4",
                          "app: health \"/\" -> \"/up\"", "app: grace \"30s\" -> \"10s\""));
}

TEST(Difference, OfTablesNamesTheEntries) {
  EXPECT_THAT(between("[web]\nfiles = \"p\"\nheaders = { X-A = \"1\", X-B = \"1\" }\n",
                      "[web]\nfiles = \"p\"\nheaders = { X-B = \"2\", X-C = \"1\" }\n"),
              ElementsAre("web: headers `X-A` removed", "web: headers `X-B` \"1\" -> \"2\"",
                          "web: headers `X-C` added"));
}

TEST(Difference, OfTheOrderOfPatternsIsSaidSinceTheFirstCounts) {
  EXPECT_THAT(between("[web]\nfiles = \"p\"\ncache = { \"/a\" = \"x\", \"/*\" = \"y\" }\n",
                      "[web]\nfiles = \"p\"\ncache = { \"/*\" = \"y\", \"/a\" = \"x\" }\n"),
              ElementsAre("web: cache in another order"));
}

TEST(Difference, ShowsNoSecret) {
  EXPECT_THAT(between("[app]\nrun = \"x\"\nenv = { A = \"hunter2\" }\n[db]\nurl = \"a://hunter2\"\n",
                      "[app]\nrun = \"x\"\nenv = { A = \"hunter3\" }\n[db]\nurl = \"a://hunter3\"\n"),
              ElementsAre("app: env `A` changed", "db: url changed"));
}

TEST(Difference, ShowsNothingThatCameThroughTheEnvironment) {
  const std::string text = "[app]\nrun = \"${env:T}\"\n[web.headers]\nX-A = \"${env:T}\"\n";
  EXPECT_THAT(difference(*site(text, "hunter2"), *site(text, "hunter3")),
              ElementsAre("app: run changed", "web: headers `X-A` changed"));
  EXPECT_THAT(difference(*site(text, "hunter2"), *site("[app]\nrun = \"y\"\n")),
              ElementsAre("app: run changed", "web: headers `X-A` removed"));
}

TEST(Difference, OfServersNamesThem) {
  const std::string app = "[app]\nrun = \"x\"\n[web]\nlisten = [\"127.0.0.1:1\"]\n[servers]\n";
  EXPECT_THAT(
      between(app + "a = { address = \"10.0.0.1\" }\n", app + "b = { address = \"10.0.0.1\" }\n"),
      ElementsAre("servers: `a` leaves the site", "servers: `b` joins the pool: web, app, db at 10.0.0.1"));
  EXPECT_THAT(between(app + "a = { address = \"10.0.0.1\" }\n", app + "a = { address = \"10.0.0.2\" }\n"),
              ElementsAre("servers: `a` moves from 10.0.0.1 to 10.0.0.2"));
}

TEST(Difference, OfRolesNamesThem) {
  const auto site_with = [](const std::string& roles) {
    return "[web]\nlisten = [\"127.0.0.1:1\"]\nfiles = \"x\"\n[servers]\nb = { address = \"10.0.0.2\" }\n"
           "a = { address = \"10.0.0.1\", roles = [" +
           roles + "] }\n";
  };
  EXPECT_THAT(between(site_with("\"web\""), site_with("\"web\", \"app\"")),
              ElementsAre("servers: `a` takes the role `app`"));
  EXPECT_THAT(between(site_with("\"web\", \"app\""), site_with("\"web\"")),
              ElementsAre("servers: `a` gives the role `app` up"));
  EXPECT_THAT(between(site_with("\"web\", \"app\""), site_with("\"app\", \"web\"")),
              ElementsAre("servers: `a` has its roles in another order"));
}

TEST(Difference, OfTheLoadBalancerNamesBackendsAndPools) {
  const std::string head =
      "[app]\nrun = \"x\"\n[db]\nengine = \"none\"\n[servers]\n"
      "lb1 = { address = \"10.0.0.1\", roles = [\"lb\"] }\n";
  const std::string before = head +
                             "web1 = { address = \"10.0.0.2\" }\n[lb.backends]\n"
                             "a = { address = \"10.0.0.3:80\" }\nb = { address = \"10.0.0.4:80\" }\n"
                             "[lb.pools]\none = { servers = [\"a\"], paths = [\"/1\"] }\n"
                             "two = { servers = [\"b\"], paths = [\"/2\"] }\n";
  const std::string after = head +
                            "web1 = { address = \"10.0.0.2\", weight = 3 }\n[lb]\nslow_start = \"1s\"\n"
                            "[lb.backends]\nb = { address = \"10.0.0.5:80\", weight = 0 }\n"
                            "c = { address = \"10.0.0.6:80\" }\n[lb.pools]\n"
                            "two = { servers = [\"b\", \"c\"], paths = [\"/2\"] }\n"
                            "one = { servers = [\"b\"], paths = [\"/1\"] }\n";
  EXPECT_THAT(
      between(before, after),
      ElementsAre("servers.web1: weight 1 -> 3", "lb: slow_start \"10s\" -> \"1s\"",
                  "lb.backends: `a` removed", "lb.backends.b: address \"10.0.0.4:80\" -> \"10.0.0.5:80\"",
                  "lb.backends.b: weight 1 -> 0", "lb.backends: `c` added",
                  "lb.pools.two: servers [\"b\"] -> [\"b\", \"c\"]",
                  "lb.pools.one: servers [\"a\"] -> [\"b\"]", "lb.pools in another order"));
}

}  // namespace
}  // namespace terrace::topology
