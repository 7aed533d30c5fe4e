#include "lb/routes.h"

#include <gtest/gtest.h>

namespace terrace::lb {
namespace {

const std::vector<topology::Pool> kPools = {
    {.name = "both", .hosts = {"api.example.com", "*.api.example.com"}, .paths = {"/v1/*"}},
    {.name = "host", .hosts = {"api.example.com"}},
    {.name = "tcp", .tcp = {"0.0.0.0:6379"}},
    {.name = "path", .paths = {"/shop/*", "/caf%C3%A9"}},
    {.name = ""}};

std::string pool(std::string_view host, std::string_view path) {
  return kPools[Routes(kPools).find(host, path)].name;
}

TEST(Routes, APoolWithHostsAndPathsTakesWhatFitsBoth) {
  EXPECT_EQ(pool("api.example.com", "/v1/x"), "both");
  EXPECT_EQ(pool("eu.API.example.com", "/v1/x"), "both");
  EXPECT_EQ(pool("www.example.com", "/v1/x"), "");
}

TEST(Routes, TheFirstThatFitsTakesIt) {
  EXPECT_EQ(pool("api.example.com", "/v2/x"), "host");
  EXPECT_EQ(pool("api.example.com", "/shop/1"), "host");
  EXPECT_EQ(pool("www.example.com", "/shop/1"), "path");
}

TEST(Routes, PatternsAreComparedWithDecodedPaths) {
  EXPECT_EQ(pool("www.example.com", "/caf\xC3\xA9"), "path");
}

TEST(Routes, APathThatCannotBeReadFitsNoPattern) {
  EXPECT_EQ(pool("www.example.com", ""), "");
  EXPECT_EQ(pool("api.example.com", ""), "host");
}

TEST(Routes, WithoutPoolsThereIsTheRest) { EXPECT_EQ(Routes({{.name = ""}}).find("a", "/b"), 0U); }

}  // namespace
}  // namespace terrace::lb
