#include "program/channel.h"

#include <gtest/gtest.h>
#include <unistd.h>

namespace terrace::program {
namespace {

TEST(Channel, ARecordArrivesAsItWasSent) {
  auto [one, other] = *make_channel();
  Listen listen;
  ASSERT_TRUE(listen.requested.set("127.0.0.1:8080"));
  ASSERT_TRUE(send_record(one.get(), listen));
  Result<Received> received = receive_record(other.get());
  ASSERT_TRUE(received);
  EXPECT_EQ(received->kind(), Kind::kListen);
  ASSERT_TRUE(received->as<Listen>());
  EXPECT_EQ(received->as<Listen>()->requested.view(), "127.0.0.1:8080");
  EXPECT_FALSE(received->as<Unlisten>());
}

TEST(Channel, ADescriptorTravelsBesideTheRecord) {
  auto [one, other] = *make_channel();
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  ASSERT_TRUE(send_record(one.get(), Peer{}, ends[0]));
  ::close(ends[0]);
  Descriptor arrived = receive_record(other.get())->take_descriptor();
  ASSERT_TRUE(arrived);
  ASSERT_EQ(::write(ends[1], "x", 1), 1);
  char byte = 0;
  EXPECT_EQ(::read(arrived.get(), &byte, 1), 1);
  EXPECT_EQ(byte, 'x');
  ::close(ends[1]);
}

TEST(Channel, ARecordOfAnotherSizeIsRefused) {
  auto [one, other] = *make_channel();
  const Listen listen;
  ASSERT_TRUE(send_bytes(one.get(), &listen, sizeof listen - 1, -1));
  EXPECT_FALSE(receive_record(other.get())->as<Listen>());
}

TEST(Channel, AnEmptyChannelWouldBlockAndAClosedOneSaysSo) {
  auto [one, other] = *make_channel();
  EXPECT_EQ(receive_record(other.get()).error().code, Code::kWouldBlock);
  one.reset();
  EXPECT_EQ(receive_record(other.get()).error().code, Code::kClosed);
  EXPECT_EQ(send_record(other.get(), Reload{}).error().code, Code::kClosed);
}

TEST(Text, RefusesWhatDoesNotFitAndNeverReadsPastItsEnd) {
  Text<4> text;
  EXPECT_TRUE(text.set("abc"));
  EXPECT_FALSE(text.set("abcd"));
  EXPECT_FALSE(text.set(std::string_view("a\0b", 3)));
  EXPECT_EQ(text.view(), "abc");
  text.bytes.fill('x');
  EXPECT_EQ(text.view(), "xxx");
}

}  // namespace
}  // namespace terrace::program
