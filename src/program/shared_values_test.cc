#include "program/shared_values.h"

#include <gtest/gtest.h>

namespace terrace::program {
namespace {

const WallTime kTime{std::chrono::seconds(1'764'000'000)};

TEST(SharedValues, TheAuthorityIsReadAsItWasWritten) {
  const AuthorityValue value{.generation = 2,
                             .bundle = "PEM\n",
                             .holders = {"a", "b"},
                             .phase = RotationPhase::kSigning,
                             .next = "ff",
                             .next_holder = "a"};
  const AuthorityValue read = parse_authority(to_json(value)).value();
  EXPECT_EQ(to_json(read), to_json(value));
  EXPECT_EQ(read.phase, RotationPhase::kSigning);
}

TEST(SharedValues, AServerIsReadAsItWasWritten) {
  const ServerValue value{.key = "k",
                          .joined = kTime,
                          .certificates = {{.serial = "01", .expires = kTime}},
                          .trusts = {"aa"},
                          .signer = "aa"};
  EXPECT_EQ(to_json(parse_server(to_json(value)).value()), to_json(value));
}

TEST(SharedValues, WhatACertificateIsForIsKept) {
  const ServerValue value{
      .key = "k",
      .joined = kTime,
      .certificates = {{.serial = "01", .expires = kTime},
                       {.serial = "02", .expires = kTime, .use = certificates::Use::kTraffic}},
      .signer = "aa",
      .traffic_signer = "bb"};
  const ServerValue read = parse_server(to_json(value)).value();
  EXPECT_EQ(read.certificates[0].use, certificates::Use::kServer);
  EXPECT_EQ(read.certificates[1].use, certificates::Use::kTraffic);
  EXPECT_EQ(read.traffic_signer, "bb");
  // As a version without traffic between servers has written it.
  const ServerValue old =
      parse_server(R"({"certificates":[{"serial":"01","expires":1}],"signer":"aa"})").value();
  EXPECT_EQ(old.certificates[0].use, certificates::Use::kServer);
  EXPECT_EQ(old.traffic_signer, "");
}

TEST(SharedValues, TheSecretOfStickySessionsIsReadAsItWasWritten) {
  const std::string secret(64, 'c');
  EXPECT_EQ(parse_sticky(sticky_json(secret)).value(), secret);
  for (const char* text : {"", "{}", "[]", R"({"secret":"cc"})", R"({"secret":7})"})
    EXPECT_FALSE(parse_sticky(text)) << text;
}

TEST(SharedValues, TokensAndRevocationsAreReadAsTheyWereWritten) {
  const TokenValue token{.server = "b", .hash = "h", .expires = kTime, .key = ""};
  EXPECT_EQ(to_json(parse_token(to_json(token)).value()), to_json(token));
  const RevokedValue revoked{.serials = {{"01", kTime}}, .servers = {{"b", kTime}}};
  EXPECT_EQ(to_json(parse_revoked(to_json(revoked)).value()), to_json(revoked));
  const SiteValue site{.version = 7, .text = "[site]\n", .by = "anna", .at = kTime};
  EXPECT_EQ(to_json(parse_site(to_json(site)).value()), to_json(site));
}

TEST(SharedValues, VersionsOfSecretsAreReadAsTheyWereWritten) {
  const SecretVersions versions{{"TOKEN", {.version = 3, .removed = false}},
                                {"OLD", {.version = 2, .removed = true}}};
  EXPECT_EQ(parse_secret_versions(to_json(versions)).value(), versions);
  EXPECT_FALSE(parse_secret_versions(R"({"TOKEN":3})"));
}

TEST(SharedValues, WhatIsNoValueIsRefused) {
  for (const char* text : {"", "[]", "7", "{"}) {
    EXPECT_FALSE(parse_authority(text));
    EXPECT_FALSE(parse_server(text));
    EXPECT_FALSE(parse_token(text));
    EXPECT_FALSE(parse_revoked(text));
    EXPECT_FALSE(parse_site(text));
  }
  EXPECT_FALSE(parse_authority("{}"));
  EXPECT_FALSE(parse_token(R"({"server":"b"})"));
}

}  // namespace
}  // namespace terrace::program
