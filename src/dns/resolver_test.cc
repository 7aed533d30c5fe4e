#include "dns/resolver.h"

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>

#include "base/descriptor.h"

namespace terrace::dns {
namespace {

using testing::HasSubstr;

// More questions, and servers that do what they should not: tests/system/test_dns.py.

TEST(Resolver, TakesOnlyAnAddressAsItsServer) {
  for (const char* wrong :
       {"ns.example.com", "192.0.2.1:", "192.0.2.1:0", "192.0.2.1:x", "[::1", "unix:/x", "1.2.3"})
    EXPECT_EQ(ask({{"example.com", Type::kA}}, {.server = wrong}).error().code, Code::kInvalid) << wrong;
}

TEST(Resolver, SaysThatNobodyAnswers) {
  // A socket that is bound and never read: nobody else gets its port meanwhile.
  const Descriptor socket(::socket(AF_INET, SOCK_DGRAM, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = ::htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof address;
  ASSERT_EQ(::bind(socket.get(), reinterpret_cast<sockaddr*>(&address), length), 0);
  ASSERT_EQ(::getsockname(socket.get(), reinterpret_cast<sockaddr*>(&address), &length), 0);
  const auto answers = ask({{"example.com", Type::kA}, {"example.com", Type::kAaaa}},
                           {.server = "127.0.0.1:" + std::to_string(::ntohs(address.sin_port)),
                            .patience = std::chrono::milliseconds(10)});
  ASSERT_TRUE(answers);
  ASSERT_EQ(answers->size(), 2U);
  EXPECT_EQ((*answers)[0].outcome, Outcome::kFailed);
  EXPECT_THAT((*answers)[0].error, HasSubstr("in time"));
}

}  // namespace
}  // namespace terrace::dns
