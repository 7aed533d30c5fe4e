#include "dns/records.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace terrace::dns {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class DnsRecords : public testing::Test {
 protected:
  DnsRecords() { site_.site.domain = "example.com"; }

  static std::vector<net::Ip> ips(std::initializer_list<const char*> texts) {
    std::vector<net::Ip> addresses;
    for (const char* text : texts) addresses.push_back(*net::Ip::parse(text));
    return addresses;
  }
  // What is written as "NAME TYPE VALUE…".
  static std::vector<std::string> texts(const std::vector<Record>& records) {
    std::vector<std::string> out;
    for (const Record& record : records) {
      out.push_back(record.name + " " + word(record.type));
      for (const std::string& value : record.values) out.back() += " " + value;
    }
    return out;
  }
  static Answer found(std::string name, Type type, std::vector<std::string> values,
                      std::vector<std::string> aliases = {}) {
    return {.question = {std::move(name), type},
            .outcome = values.empty() ? Outcome::kNoRecord : Outcome::kFound,
            .aliases = std::move(aliases),
            .values = std::move(values),
            .error = ""};
  }
  // Every question of the site is answered with "no record" but for these.
  std::vector<Answer> answers(const std::vector<Answer>& said) const {
    std::vector<Answer> all;
    for (const Question& question : questions_of(site_)) {
      const auto one = std::ranges::find(said, question, &Answer::question);
      all.push_back(one == said.end() ? found(question.name, question.type, {}) : *one);
    }
    return all;
  }
  Finding finding(const std::vector<Answer>& said, Type type, const std::string& name = "example.com") const {
    for (const Finding& each : compare(site_, records_of(site_, ips({"203.0.113.7"})), answers(said))) {
      if (each.record.type == type && each.record.name == name) return each;
    }
    return {};
  }
  std::vector<Answer> all_right() const {
    return {found("example.com", Type::kA, {"203.0.113.7"}),
            found("www.example.com", Type::kA, {"203.0.113.7"}, {"example.com"}),
            found("www.example.com", Type::kAaaa, {}, {"example.com"}),
            found("example.com", Type::kCaa, {"0 issue \"letsencrypt.org\""})};
  }

  topology::Site site_;
};

TEST_F(DnsRecords, AreThoseOfTheAddressesOfWwwAndOfTheAuthority) {
  EXPECT_THAT(
      texts(records_of(site_, ips({"203.0.113.7", "2001:db8::7"}))),
      ElementsAre("example.com A 203.0.113.7", "example.com AAAA 2001:db8::7",
                  "www.example.com CNAME example.com", "example.com CAA 0 issue \"letsencrypt.org\""));
}

TEST_F(DnsRecords, HaveNoWwwWhereItIsOff) {
  site_.site.www = topology::Www::kOff;
  EXPECT_THAT(texts(records_of(site_, ips({"203.0.113.7"}))),
              ElementsAre("example.com A 203.0.113.7", HasSubstr("CAA")));
}

TEST_F(DnsRecords, NeverLeadToAnAddressThatNobodyReaches) {
  EXPECT_THAT(texts(records_of(site_, ips({"10.0.0.5", "fe80::1", "127.0.0.1"}))),
              testing::Not(Contains(HasSubstr(" A"))));
  for (const char* closed : {"10.1.2.3", "172.31.0.1", "192.168.1.1", "127.0.0.1", "169.254.1.1",
                             "100.64.0.1", "fd00::1", "fe80::1", "::1"})
    EXPECT_FALSE(why_unreachable(*net::Ip::parse(closed)).empty()) << closed;
  for (const char* open : {"203.0.113.7", "172.32.0.1", "100.128.0.1", "2001:db8::1", "8.8.8.8"})
    EXPECT_TRUE(why_unreachable(*net::Ip::parse(open)).empty()) << open;
}

TEST_F(DnsRecords, AreAllSeenWhenAllIsRight) {
  for (const Finding& each : compare(site_, records_of(site_, ips({"203.0.113.7"})), answers(all_right())))
    EXPECT_EQ(each.state, State::kSeen) << each.record.name << word(each.record.type) << each.note;
}

TEST_F(DnsRecords, AreMissingWhereNothingIs) {
  EXPECT_EQ(finding({}, Type::kA).state, State::kMissing);
  EXPECT_EQ(finding({}, Type::kCname, "www.example.com").state, State::kMissing);
  EXPECT_EQ(finding({}, Type::kCaa).state, State::kMissing);
}

TEST_F(DnsRecords, OfAnotherAddressAreElsewhere) {
  const Finding other = finding({found("example.com", Type::kA, {"198.51.100.1"})}, Type::kA);
  EXPECT_EQ(other.state, State::kElsewhere);
  EXPECT_THAT(other.found, ElementsAre("198.51.100.1"));
  const Finding both = finding({found("example.com", Type::kA, {"198.51.100.1", "203.0.113.7"})}, Type::kA);
  EXPECT_EQ(both.state, State::kElsewhere);
  EXPECT_THAT(both.note, HasSubstr("remove"));
}

TEST_F(DnsRecords, OfTheOtherFamilyThatAreNotTheSitesAreLeftOver) {
  const Finding old = finding({found("example.com", Type::kAaaa, {"2001:db8::99"})}, Type::kAaaa);
  EXPECT_EQ(old.state, State::kLeftOver);
  EXPECT_THAT(old.found, ElementsAre("2001:db8::99"));
}

TEST_F(DnsRecords, OfWwwMayBeAddressesToo) {
  const auto www = [&](std::vector<Answer> said) {
    said.push_back(found("example.com", Type::kA, {"203.0.113.7"}));
    return finding(said, Type::kCname, "www.example.com").state;
  };
  EXPECT_EQ(www({found("www.example.com", Type::kA, {"203.0.113.7"})}), State::kSeen);
  EXPECT_EQ(www({found("www.example.com", Type::kA, {"198.51.100.1"})}), State::kElsewhere);
  EXPECT_EQ(www({found("www.example.com", Type::kA, {"203.0.113.7"}),
                 found("www.example.com", Type::kAaaa, {"2001:db8::99"})}),
            State::kElsewhere);
  EXPECT_EQ(www({found("www.example.com", Type::kA, {"198.51.100.1"}, {"parking.example.net"}),
                 found("www.example.com", Type::kAaaa, {}, {"parking.example.net"})}),
            State::kElsewhere);
}

TEST_F(DnsRecords, OfAnotherAuthorityForbidTheCertificate) {
  const auto caa = [&](std::vector<std::string> values) {
    return finding({found("example.com", Type::kCaa, std::move(values))}, Type::kCaa).state;
  };
  EXPECT_EQ(caa({"0 issue \"other.example\""}), State::kElsewhere);
  EXPECT_EQ(caa({"0 issue \"letsencrypt.org.example\""}), State::kElsewhere);
  EXPECT_EQ(caa({"0 issue \";\""}), State::kElsewhere);
  EXPECT_EQ(caa({"0 issue \"other.example\"", "0 issue \"letsencrypt.org; validationmethods=http-01\""}),
            State::kSeen);
  EXPECT_EQ(caa({"0 iodef \"mailto:a@example.com\""}), State::kSeen);
}

TEST_F(DnsRecords, OfTheAuthorityMayStandAtANameAbove) {
  site_.site.domain = "shop.example.com";
  const std::vector<Answer> said{found("example.com", Type::kCaa, {"0 issue \"other.example\""})};
  const Finding above = finding(said, Type::kCaa, "shop.example.com");
  EXPECT_EQ(above.state, State::kElsewhere);
  EXPECT_THAT(above.note, HasSubstr("forbid"));
  EXPECT_THAT(questions_of(site_), testing::Not(Contains(Question{"com", Type::kCaa})));
}

TEST_F(DnsRecords, ThatCannotBeAskedForAreUnknown) {
  Answer late{.question = {"example.com", Type::kA}, .aliases = {}, .values = {}, .error = "too late"};
  const Finding unknown = finding({late}, Type::kA);
  EXPECT_EQ(unknown.state, State::kUnknown);
  EXPECT_EQ(unknown.note, "too late");
}

TEST_F(DnsRecords, OfANameThatDoesNotExistAreMissingAndSaySo) {
  const Answer none{.question = {"example.com", Type::kA},
                    .outcome = Outcome::kNoName,
                    .aliases = {},
                    .values = {},
                    .error = ""};
  EXPECT_EQ(finding({none}, Type::kA).state, State::kMissing);
  EXPECT_THAT(finding({none}, Type::kA).note, HasSubstr("no such name"));
}

}  // namespace
}  // namespace terrace::dns
