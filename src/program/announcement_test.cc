#include "program/announcement.h"

#include <gtest/gtest.h>

namespace terrace::program {
namespace {

TEST(Announcement, SaysWhereToLook) {
  EXPECT_EQ(announcement_text({.web = {"127.0.0.1:8080", "[::1]:8080", "10.0.0.5:8081"},
                               .admin = "127.0.0.1:9180",
                               .log_folder = "/srv/.terrace/log"}),
            "serving http://localhost:8080, http://10.0.0.5:8081\n"
            "  what runs  terrace status\n"
            "  metrics    http://127.0.0.1:9180/metrics\n"
            "  logs       terrace logs -f, or /srv/.terrace/log\n");
}

TEST(Announcement, OfAWebServerBehindLoadBalancersIsWhereTheyReachIt) {
  EXPECT_EQ(announcement_text({.hop = {"10.0.0.21:7402"}, .log_folder = "/var/log/terrace"}),
            "serving the load balancers, on 10.0.0.21:7402\n"
            "  what runs  terrace status\n"
            "  logs       terrace logs -f, or /var/log/terrace\n");
}

TEST(Announcement, NamesTheAddressAsABrowserOfThisMachineWould) {
  EXPECT_EQ(local_url("0.0.0.0:80"), "http://localhost");
  EXPECT_EQ(local_url("[::]:8080"), "http://localhost:8080");
  EXPECT_EQ(local_url("[2001:db8::1]:8080"), "http://[2001:db8::1]:8080");
}

}  // namespace
}  // namespace terrace::program
