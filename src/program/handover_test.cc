#include "program/handover.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace terrace::program {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

Handover some_handover() {
  Handover all{
      .version = "1.2.3", .program = "/usr/bin/terrace", .upgrades = 4, .site_path = "/srv/site.toml"};
  all.folders = {.state = "/srv/state", .run = "/srv/run", .log = "/srv/log"};
  all.isolation = Isolation::kSubreaper;
  all.cores = 2;
  all.descriptors = 4096;
  all.serving = true;
  all.lock = 5;
  all.controller = {.pid = 100, .starts = 3, .channel = 6};
  all.worker = {.pid = 101, .starts = 2, .channel = 7};
  all.retiring = {{.pid = 90, .starts = 1, .channel = 8, .told = true}};
  all.listeners = {
      {.purpose = Purpose::kAdmin, .requested = "127.0.0.1:0", .bound = "127.0.0.1:9", .sockets = {9, 10}},
      {.purpose = Purpose::kHop, .requested = "10.0.0.21:7402", .bound = "10.0.0.21:7402"}};
  Handover::Instance instance{.output = 11, .reports = 12, .grace_ms = 1500, .groups = {"/sys/fs/cgroup/a"}};
  instance.record = {
      .slot = 1, .generation = 7, .pid = 110, .limits = Limits::kCgroup2, .started_ns = 1LL << 60};
  instance.record.port = 20'001;
  instance.record.tag.bytes[0] = 0xab;
  instance.record.tag.bytes[63] = 0x01;
  instance.ended = InstanceEnded{.slot = 1, .generation = 7, .status = 256, .out_of_memory = 1};
  (void)instance.ended->error.set("a \"word\"");
  all.instances = {instance};
  all.left_groups = {"/sys/fs/cgroup/b"};
  all.site = Handover::Text{.version = 9, .bytes = 77, .path = "/srv/site.toml", .text = 13};
  all.secrets = 14;
  return all;
}

TEST(Handover, comes_out_as_it_went_in) {
  const std::string text = handover_text(some_handover());
  const Result<Handover> read = read_handover(text);
  ASSERT_TRUE(read) << describe(read.error());
  EXPECT_EQ(handover_text(*read), text);
  ASSERT_EQ(read->listeners.size(), 2U);
  EXPECT_EQ(read->listeners[1].purpose, Purpose::kHop);
  EXPECT_EQ(read->instances[0].record.tag.bytes, some_handover().instances[0].record.tag.bytes);
  EXPECT_EQ(read->instances[0].ended->error.view(), "a \"word\"");
}

TEST(Handover, names_every_descriptor_that_must_survive) {
  EXPECT_THAT(descriptors_of(some_handover()), ElementsAre(5, 14, 6, 7, 8, 9, 10, 11, 12, 13));
}

TEST(Handover, of_a_format_that_is_not_known_is_refused) {
  std::string text = handover_text(some_handover());
  const std::string format = "\"format\":1";
  text.replace(text.find(format), format.size(), "\"format\":999");
  const Result<Handover> read = read_handover(text);
  ASSERT_FALSE(read);
  EXPECT_THAT(describe(read.error()), HasSubstr("format"));
}

TEST(Handover, that_lacks_something_or_is_no_json_is_refused) {
  EXPECT_FALSE(read_handover("{\"format\":1}"));
  EXPECT_FALSE(read_handover("[]"));
  EXPECT_FALSE(read_handover(""));
  EXPECT_FALSE(read_handover(handover_text(some_handover()).substr(1)));
}

TEST(Handover, may_hold_more_than_is_known) {
  std::string text = handover_text(some_handover());
  text.insert(1, "\"of_a_later_version\":[1],");
  EXPECT_TRUE(read_handover(text));
}

}  // namespace
}  // namespace terrace::program
