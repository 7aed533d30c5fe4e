#include "net/proxy_header.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <string>

#include "reactor/scope.h"

namespace terrace::net {
namespace {

const std::string kSignature("\r\n\r\n\0\r\nQUIT\n", 12);

Peer peer(std::string_view ip, uint16_t port) { return {.ip = Ip::parse(ip).value(), .port = port}; }

std::string written(const ProxyHeader& header) {
  std::string text(kProxyHeaderWrittenBytesMax, '\0');
  text.resize(write_proxy_header(header, text));
  return text;
}

// A header of the given command and family, with this behind its length.
std::string header(int command, int family, const std::string& body) {
  const size_t length = body.size();
  return kSignature + static_cast<char>(command) + static_cast<char>(family) +
         static_cast<char>(length >> 8) + static_cast<char>(length & 0xff) + body;
}

const std::string kTcp4Body("\xc0\x00\x02\x01\x0a\x00\x00\x07\x30\x39\x01\xbb", 12);

Code refused(const std::string& text) {
  const auto parsed = parse_proxy_header(text);
  EXPECT_FALSE(parsed);
  return parsed ? Code::kSystem : parsed.error().code;
}

TEST(ProxyHeader, SaysWhoTheClientIs) {
  const auto parsed = parse_proxy_header(header(0x21, 0x11, kTcp4Body) + "GET / HTTP/1.1");
  ASSERT_TRUE(parsed);
  EXPECT_EQ(parsed->header.source.ip, *Ip::parse("192.0.2.1"));
  EXPECT_EQ(parsed->header.source.port, 12345);
  EXPECT_EQ(parsed->header.destination.ip, *Ip::parse("10.0.0.7"));
  EXPECT_EQ(parsed->header.destination.port, 443);
  EXPECT_EQ(parsed->bytes, 28U);
}

TEST(ProxyHeader, ReadsWhatIsWritten) {
  for (const ProxyHeader& one :
       {ProxyHeader{.source = peer("192.0.2.1", 1), .destination = peer("10.0.0.7", 65535)},
        ProxyHeader{.source = peer("2001:db8::1", 443), .destination = peer("2001:db8::2", 80)},
        ProxyHeader{.source = peer("2001:db8::1", 443), .destination = peer("10.0.0.7", 80)}}) {
    const std::string text = written(one);
    const auto parsed = parse_proxy_header(text);
    ASSERT_TRUE(parsed);
    EXPECT_FALSE(parsed->header.local);
    EXPECT_EQ(parsed->header.source.ip, one.source.ip);
    EXPECT_EQ(parsed->header.source.port, one.source.port);
    EXPECT_EQ(parsed->header.destination.ip, one.destination.ip);
    EXPECT_EQ(parsed->header.destination.port, one.destination.port);
    EXPECT_EQ(parsed->bytes, text.size());
  }
}

TEST(ProxyHeader, LocalAndUnspecifiedLeaveTheConnectionsOwnAddresses) {
  EXPECT_TRUE(parse_proxy_header(header(0x20, 0x00, ""))->header.local);
  EXPECT_TRUE(parse_proxy_header(header(0x20, 0x55, "what it is"))->header.local);
  EXPECT_TRUE(parse_proxy_header(header(0x21, 0x00, ""))->header.local);
  EXPECT_TRUE(parse_proxy_header(header(0x21, 0x31, std::string(216, 'x')))->header.local);
  EXPECT_TRUE(parse_proxy_header(written({.source = {.local = true}}))->header.local);
}

TEST(ProxyHeader, IsWaitedForUntilItIsWhole) {
  const std::string whole = header(0x21, 0x11, kTcp4Body);
  for (size_t bytes = 0; bytes < whole.size(); ++bytes)
    EXPECT_EQ(refused(whole.substr(0, bytes)), Code::kWouldBlock) << bytes;
}

TEST(ProxyHeader, WhatCannotBecomeOneIsRefusedAtItsFirstByte) {
  EXPECT_EQ(refused("G"), Code::kInvalid);
  EXPECT_EQ(refused("PROXY TCP4 192.0.2.1 10.0.0.7 12345 443\r\n"), Code::kInvalid);
  EXPECT_EQ(refused("\r\n\r\nGET"), Code::kInvalid);
}

TEST(ProxyHeader, OtherVersionsCommandsAndTransportsAreRefused) {
  EXPECT_EQ(refused(header(0x11, 0x11, kTcp4Body)), Code::kInvalid);
  EXPECT_EQ(refused(header(0x22, 0x11, kTcp4Body)), Code::kInvalid);
  EXPECT_EQ(refused(header(0x21, 0x12, kTcp4Body)), Code::kInvalid);
}

TEST(ProxyHeader, LengthsThatDoNotFitAreRefused) {
  EXPECT_EQ(refused(header(0x21, 0x11, kTcp4Body.substr(1))), Code::kInvalid);
  EXPECT_EQ(refused(header(0x21, 0x21, kTcp4Body)), Code::kInvalid);
  EXPECT_EQ(refused(header(0x20, 0x00, std::string(4000, 'x'))), Code::kLimit);
  EXPECT_EQ(refused(header(0x21, 0x11, kTcp4Body + "\x01")), Code::kInvalid);
  EXPECT_EQ(refused(header(0x21, 0x11, kTcp4Body + std::string("\x01\x00\x05host", 7))), Code::kInvalid);
}

TEST(ProxyHeader, OtherExtensionsAreSkipped) {
  const std::string extras("\x02\x00\x04host\x04\x00\x00", 10);
  EXPECT_TRUE(parse_proxy_header(header(0x21, 0x11, kTcp4Body + extras)));
}

TEST(ProxyHeader, ItsChecksumMustBeRight) {
  std::string text = header(0x21, 0x11, kTcp4Body + std::string("\x03\x00\x04\0\0\0\0", 7));
  const uint32_t sum = crc32c(text);
  for (size_t i = 0; i < 4; ++i) text[text.size() - 1 - i] = static_cast<char>(sum >> (8 * i) & 0xff);
  EXPECT_TRUE(parse_proxy_header(text));
  text[20] ^= 1;
  EXPECT_EQ(refused(text), Code::kInvalid);
}

TEST(ProxyHeader, ChecksumIsTheOneOfItsStandard) { EXPECT_EQ(crc32c("123456789"), 0xe3069283U); }

Task<void> receive(Stream& stream, Time deadline, Result<ProxyHeader>& header, bool& done) {
  header = co_await receive_proxy_header(stream, deadline);
  done = true;
}

class ReceivedProxyHeader : public testing::Test {
 protected:
  void SetUp() override {
    int pair[2];
    ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair), 0);
    peer_ = Descriptor(pair[0]);
    ASSERT_TRUE(stream_.open(*reactor_, Descriptor(pair[1])));
  }
  Result<ProxyHeader> receive_from(const std::string& text, size_t at_once) {
    Result<ProxyHeader> header;
    bool done = false;
    scope_.spawn(receive(stream_, reactor_->now() + std::chrono::milliseconds(100), header, done));
    for (size_t at = 0; at < text.size(); at += at_once) {
      const std::string piece = text.substr(at, at_once);
      EXPECT_EQ(::write(peer_.get(), piece.data(), piece.size()), static_cast<ssize_t>(piece.size()));
      const bool never = false;
      if (at_once < text.size()) reactor_->run_until(never, Duration(0));
    }
    EXPECT_TRUE(reactor_->run_until(done, std::chrono::seconds(2)));
    return header;
  }

  SystemClock clock_;
  std::unique_ptr<Reactor> reactor_ = Reactor::create(clock_, {}).value();
  Descriptor peer_;
  Stream stream_;
  Scope scope_;
};

TEST_F(ReceivedProxyHeader, LeavesWhatFollowsInTheStream) {
  const auto header_ = receive_from(header(0x21, 0x11, kTcp4Body) + "GET", 1000);
  ASSERT_TRUE(header_);
  EXPECT_EQ(header_->source.port, 12345);
  std::array<char, 8> rest{};
  EXPECT_EQ(stream_.read_now(rest).value_or(0), 3U);
}

TEST_F(ReceivedProxyHeader, MayComeByteByByte) {
  EXPECT_TRUE(receive_from(header(0x21, 0x11, kTcp4Body), 1));
}

TEST_F(ReceivedProxyHeader, IsNotWaitedForBeyondTheDeadline) {
  EXPECT_EQ(receive_from(kSignature, 100).error().code, Code::kTimeout);
}

TEST_F(ReceivedProxyHeader, ThatIsNoneEndsAtOnce) {
  EXPECT_EQ(receive_from("GET / HTTP/1.1\r\n\r\n", 100).error().code, Code::kInvalid);
}

}  // namespace
}  // namespace terrace::net
