#include "net/proxy_header.h"

#include <gtest/gtest.h>

#include <string>

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

}  // namespace
}  // namespace terrace::net
