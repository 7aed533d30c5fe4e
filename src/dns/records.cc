#include "dns/records.h"

#include <algorithm>
#include <array>
#include <optional>

namespace terrace::dns {
namespace {

using topology::Site;

struct Closed {
  std::string_view network;
  std::string_view why;
};
constexpr std::array kClosed = {
    Closed{"127.0.0.0/8", "loopback: this machine itself"},
    Closed{"::1/128", "loopback: this machine itself"},
    Closed{"10.0.0.0/8", "private (RFC 1918)"},
    Closed{"172.16.0.0/12", "private (RFC 1918)"},
    Closed{"192.168.0.0/16", "private (RFC 1918)"},
    Closed{"100.64.0.0/10", "shared by a provider's customers (RFC 6598)"},
    Closed{"169.254.0.0/16", "of one link only (RFC 3927)"},
    Closed{"fe80::/10", "of one link only (RFC 4291)"},
    Closed{"fc00::/7", "private (RFC 4193)"},
    Closed{"0.0.0.0/8", "no address of a machine"},
    Closed{"::/128", "no address of a machine"},
};

std::string text_of(const net::Ip& address) {
  std::array<char, 46> into;
  return std::string(address.print(into));
}

std::string caa_value() { return "0 issue \"" + std::string(kAuthority) + "\""; }

// The domain and the names above it, as far as the last but one (RFC 8659 section 3).
std::vector<std::string> names_up(std::string_view domain) {
  std::vector<std::string> names;
  while (domain.find('.') != std::string_view::npos) {
    names.emplace_back(domain);
    domain.remove_prefix(domain.find('.') + 1);
  }
  return names;
}

const Answer* answer_to(const std::vector<Answer>& answers, const Question& question) {
  const auto found = std::ranges::find(answers, question, &Answer::question);
  return found == answers.end() ? nullptr : &*found;
}

const Record* record_of(const std::vector<Record>& records, const std::string& name, Type type) {
  const auto found = std::ranges::find_if(
      records, [&](const Record& each) { return each.name == name && each.type == type; });
  return found == records.end() ? nullptr : &*found;
}

bool contains(const std::vector<std::string>& values, const std::string& value) {
  return std::ranges::find(values, value) != values.end();
}

std::string by_way_of(const Answer& answer) {
  std::string note;
  for (const std::string& alias : answer.aliases) note += (note.empty() ? "by way of " : ", ") + alias;
  return note;
}

// The state of a set of addresses; `wanted` may be empty.
Finding compare_addresses(Record record, const Answer* answer) {
  Finding finding{.record = std::move(record), .found = {}, .note = ""};
  if (answer == nullptr || answer->outcome == Outcome::kFailed) {
    finding.note = answer == nullptr ? "not asked" : answer->error;
    return finding;
  }
  finding.found = answer->values;
  finding.note = by_way_of(*answer);
  const std::vector<std::string>& wanted = finding.record.values;
  const bool all =
      std::ranges::all_of(wanted, [&](const auto& value) { return contains(answer->values, value); });
  if (answer->values.empty()) {
    finding.state = wanted.empty() ? State::kSeen : State::kMissing;
    if (answer->outcome == Outcome::kNoName) finding.note = "there is no such name";
  } else if (wanted.empty()) {
    finding.state = State::kLeftOver;
    finding.note = "not an address of the site: remove it";
  } else {
    finding.state = all && answer->values.size() == wanted.size() ? State::kSeen : State::kElsewhere;
    if (all && finding.state == State::kElsewhere)
      finding.note = "there as well: remove what is not the site's";
  }
  return finding;
}

// The record set of one type for the domain; nothing when none is wanted and none is there.
void add_domain(std::vector<Finding>& findings, const Site& site, const std::vector<Record>& records,
                const std::vector<Answer>& answers, Type type) {
  const Record* wanted = record_of(records, site.site.domain, type);
  const Record none{.name = site.site.domain, .type = type, .values = {}};
  Finding finding =
      compare_addresses(wanted != nullptr ? *wanted : none, answer_to(answers, {site.site.domain, type}));
  if (wanted != nullptr || finding.state == State::kLeftOver || finding.state == State::kUnknown)
    findings.push_back(std::move(finding));
}

// www is right when it leads to the domain, by whatever records.
Finding compare_www(const Record& record, const Site& site, const std::vector<Record>& records,
                    const std::vector<Answer>& answers) {
  Finding finding{.record = record, .found = {}, .note = ""};
  bool missing = true;
  bool right = true;
  for (const Type type : {Type::kA, Type::kAaaa}) {
    const Answer* answer = answer_to(answers, {record.name, type});
    if (answer == nullptr || answer->outcome == Outcome::kFailed) {
      finding.note = answer == nullptr ? "not asked" : answer->error;
      return finding;
    }
    const bool alias = contains(answer->aliases, site.site.domain);
    const Record* wanted = record_of(records, site.site.domain, type);
    std::vector<std::string> expected = wanted == nullptr ? std::vector<std::string>() : wanted->values;
    std::ranges::sort(expected);
    missing = missing && answer->values.empty() && answer->aliases.empty();
    // What is wrong behind the alias is said of the domain.
    right = right && (alias || answer->values == expected);
    const std::vector<std::string>& shown = answer->aliases.empty() ? answer->values : answer->aliases;
    for (const std::string& value : shown) {
      if (!contains(finding.found, value)) finding.found.push_back(value);
    }
  }
  finding.state = missing ? State::kMissing : right ? State::kSeen : State::kElsewhere;
  return finding;
}

// Whether a CAA as a zone file has it lets the authority issue.
bool lets_issue(const std::string& value) {
  const size_t tag = value.find(" issue \"");
  if (tag == std::string::npos) return false;
  std::string_view who(value);
  who.remove_prefix(tag + 8);
  who = who.substr(0, who.find_first_of("\"; \t"));
  return who == kAuthority;
}

bool is_issue(const std::string& value) { return value.find(" issue \"") != std::string::npos; }

// The nearest name with CAA records decides; without any, or any about issuing, everybody may.
Finding compare_caa(const Record& record, const Site& site, const std::vector<Answer>& answers) {
  Finding finding{.record = record, .found = {}, .note = ""};
  for (const std::string& name : names_up(site.site.domain)) {
    const Answer* answer = answer_to(answers, {name, Type::kCaa});
    if (answer == nullptr || answer->outcome == Outcome::kFailed) {
      finding.note = answer == nullptr ? "not asked" : answer->error;
      return finding;
    }
    if (answer->values.empty()) continue;
    finding.found = answer->values;
    if (name != site.site.domain) finding.note = "of " + name;
    const bool lets = std::ranges::any_of(answer->values, lets_issue);
    finding.state = lets || std::ranges::none_of(answer->values, is_issue) ? State::kSeen : State::kElsewhere;
    if (finding.state == State::kElsewhere)
      finding.note = "these forbid " + std::string(kAuthority) + " to issue a certificate";
    return finding;
  }
  finding.state = State::kMissing;
  finding.note = "not needed: without it every authority may issue";
  return finding;
}

}  // namespace

const char* word(Type type) {
  switch (type) {
    case Type::kA:
      return "A";
    case Type::kCname:
      return "CNAME";
    case Type::kAaaa:
      return "AAAA";
    case Type::kCaa:
      return "CAA";
  }
  return "";
}

const char* word(State state) {
  switch (state) {
    case State::kSeen:
      return "seen";
    case State::kMissing:
      return "missing";
    case State::kElsewhere:
      return "elsewhere";
    case State::kLeftOver:
      return "left over";
    case State::kUnknown:
      return "unknown";
  }
  return "";
}

std::string_view why_unreachable(const net::Ip& address) {
  for (const Closed& closed : kClosed) {
    const Result<net::Network> network = net::Network::parse(closed.network);
    if (network && network->contains(address)) return closed.why;
  }
  return "";
}

std::vector<Record> records_of(const Site& site, const std::vector<net::Ip>& addresses) {
  const std::string& domain = site.site.domain;
  Record v4{.name = domain, .type = Type::kA, .values = {}};
  Record v6{.name = domain, .type = Type::kAaaa, .values = {}};
  for (const net::Ip& address : addresses) {
    if (!why_unreachable(address).empty()) continue;
    Record& record = address.is_v4() ? v4 : v6;
    if (!contains(record.values, text_of(address))) record.values.push_back(text_of(address));
  }
  std::vector<Record> records;
  for (const Record& record : {v4, v6}) {
    if (!record.values.empty()) records.push_back(record);
  }
  if (site.site.www != topology::Www::kOff)
    records.push_back({.name = "www." + domain, .type = Type::kCname, .values = {domain}});
  records.push_back({.name = domain, .type = Type::kCaa, .values = {caa_value()}, .optional = true});
  return records;
}

std::vector<Question> questions_of(const Site& site) {
  std::vector<Question> questions{{site.site.domain, Type::kA}, {site.site.domain, Type::kAaaa}};
  if (site.site.www != topology::Www::kOff) {
    for (const Type type : {Type::kA, Type::kAaaa}) questions.push_back({"www." + site.site.domain, type});
  }
  for (const std::string& name : names_up(site.site.domain)) questions.push_back({name, Type::kCaa});
  return questions;
}

std::vector<Finding> compare(const Site& site, const std::vector<Record>& records,
                             const std::vector<Answer>& answers) {
  std::vector<Finding> findings;
  add_domain(findings, site, records, answers, Type::kA);
  add_domain(findings, site, records, answers, Type::kAaaa);
  for (const Record& record : records) {
    if (record.type == Type::kCname) findings.push_back(compare_www(record, site, records, answers));
    if (record.type == Type::kCaa) findings.push_back(compare_caa(record, site, answers));
  }
  return findings;
}

}  // namespace terrace::dns
