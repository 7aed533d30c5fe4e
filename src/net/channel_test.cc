#include "net/channel.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include "reactor/scope.h"

namespace terrace::net {
namespace {

Task<void> receive_one(Channel& channel, std::string& text, int& descriptors, bool& done) {
  char record[64];
  const Result<Channel::Received> received = co_await channel.receive(record);
  if (received) {
    text.assign(record, received->bytes);
    descriptors = received->descriptors_count;
  } else {
    text = describe(received.error());
  }
  done = true;
}

class ChannelTest : public testing::Test {
 protected:
  ChannelTest() {
    auto ends = Channel::make_pair().value();
    near_ = std::make_unique<Channel>(std::move(ends.first));
    far_ = std::make_unique<Channel>(std::move(ends.second));
    EXPECT_TRUE(near_->start(*reactor_));
    scope_.spawn(receive_one(*near_, text_, descriptors_, done_));
  }
  SystemClock clock_;
  std::unique_ptr<Reactor> reactor_ = Reactor::create(clock_, {}).value();
  std::unique_ptr<Channel> near_;
  std::unique_ptr<Channel> far_;
  Scope scope_;
  std::string text_;
  int descriptors_ = 0;
  bool done_ = false;
};

TEST_F(ChannelTest, CarriesARecordWithItsDescriptors) {
  const int fds[] = {0, 1};
  ASSERT_TRUE(far_->send(std::string_view("hello"), fds));
  EXPECT_TRUE(reactor_->run_until(done_, std::chrono::seconds(1)));
  EXPECT_EQ(text_, "hello");
  EXPECT_EQ(descriptors_, 2);
}

TEST_F(ChannelTest, RefusesARecordThatIsTooLarge) {
  ASSERT_TRUE(far_->send(std::string(65, 'x')));
  EXPECT_TRUE(reactor_->run_until(done_, std::chrono::seconds(1)));
  EXPECT_EQ(text_, "recvmsg: the record is larger than expected");
}

TEST_F(ChannelTest, SaysThatTheOtherEndClosed) {
  far_.reset();
  EXPECT_TRUE(reactor_->run_until(done_, std::chrono::seconds(1)));
  EXPECT_EQ(text_, "");
}

TEST_F(ChannelTest, CanBeCancelled) {
  near_->cancel();
  EXPECT_TRUE(reactor_->run_until(done_, std::chrono::seconds(1)));
  EXPECT_EQ(text_, "receive");
}

}  // namespace
}  // namespace terrace::net
