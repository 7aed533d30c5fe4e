#include "program/announcement.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace terrace::program {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

TEST(Announcement, SaysWhereToLook) {
  EXPECT_EQ(announcement_text({.site = "shop",
                               .web = {"127.0.0.1:8080", "[::1]:8080", "10.0.0.5:8081"},
                               .admin = "127.0.0.1:9180",
                               .log_folder = "/srv/.terrace/log",
                               .root = true}),
            "serving shop on http://localhost:8080, http://10.0.0.5:8081\n"
            "  what runs   terrace status\n"
            "  metrics     http://127.0.0.1:9180/metrics\n"
            "  logs        terrace logs -f, or /srv/.terrace/log\n");
}

TEST(Announcement, SaysInOneLineWhatIsOffWithoutRoot) {
  EXPECT_THAT(announcement_text({.root = false}), HasSubstr("not root    off: ports below 1024"));
  EXPECT_THAT(announcement_text({.root = true}), Not(HasSubstr("not root")));
}

TEST(Announcement, NamesTheAddressAsABrowserOfThisMachineWould) {
  EXPECT_EQ(local_url("0.0.0.0:80"), "http://localhost");
  EXPECT_EQ(local_url("[::]:8080"), "http://localhost:8080");
  EXPECT_EQ(local_url("[2001:db8::1]:8080"), "http://[2001:db8::1]:8080");
}

}  // namespace
}  // namespace terrace::program
