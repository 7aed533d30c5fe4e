#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

#include "dns/records.h"
#include "dns/resolver.h"
#include "program/commands.h"
#include "program/output.h"
#include "program/own_server.h"
#include "program/site_path.h"
#include "program/table.h"
#include "topology/load.h"

// dns: what to enter at the registrar, and what of it the world sees.

namespace terrace::program {
namespace {

using dns::Finding;
using dns::Record;
using dns::State;
using dns::word;
using Json = nlohmann::json;

struct Place {
  std::vector<net::Ip> addresses;
  std::vector<std::string> warnings;
};

std::string text_of(const net::Ip& address) {
  std::array<char, 46> into;
  return std::string(address.print(into));
}

// Visitors come to the load balancers where there are some, else to the web servers.
bool takes_visitors(const topology::Site& site, const topology::Server& server) {
  const bool balanced = has_role(site, topology::Role::kLb);
  return has_role(server, balanced ? topology::Role::kLb : topology::Role::kWeb);
}

Place place_of(const topology::Site& site) {
  Place place;
  for (const topology::Server& server : site.servers) {
    const Result<net::Ip> address = net::Ip::parse(server.address);
    if (!address || !takes_visitors(site, server)) continue;
    place.addresses.push_back(*address);
    if (const std::string_view why = dns::why_unreachable(*address); !why.empty()) {
      place.warnings.push_back(
          fmt::format("{}, the address of `{}` in [servers], is {}: the world cannot reach it; the record "
                      "needs the address "
                      "that your provider shows as public",
                      server.address, server.name, why));
    }
  }
  if (!site.servers.empty()) return place;
  place.addresses = own_addresses();
  const bool some = std::ranges::any_of(place.addresses,
                                        [](const net::Ip& ip) { return dns::why_unreachable(ip).empty(); });
  for (const net::Ip& address : place.addresses) {
    const std::string_view why = dns::why_unreachable(address);
    if (!some && !why.empty() && !text_of(address).starts_with("fe80"))
      place.warnings.push_back(fmt::format("{} is {}: the world cannot reach it", text_of(address), why));
  }
  if (!some) {
    place.warnings.emplace_back(
        "this machine has no public address of its own: write the one that your provider shows as `address` "
        "in "
        "[servers], and a record leads to it");
  }
  return place;
}

// Where some registrars want only what stands before the domain.
Json json_of(const Record& record) {
  return {{"name", record.name},
          {"type", word(record.type)},
          {"values", record.values},
          {"optional", record.optional}};
}

Json json_of(const Finding& finding) {
  Json json = json_of(finding.record);
  json["state"] = word(finding.state);
  json["found"] = finding.found;
  if (!finding.note.empty()) json["note"] = finding.note;
  return json;
}

std::string joined(const std::vector<std::string>& values) {
  std::string text;
  for (const std::string& value : values) text += (text.empty() ? "" : ", ") + value;
  return text.empty() ? "-" : text;
}

void show_warnings(const Place& place) {
  for (const std::string& warning : place.warnings) complain(warning);
}

int show_records(const CommandLine& line, const std::vector<Record>& records, const Place& place) {
  const bool reached = std::ranges::any_of(records, [](const Record& record) {
    return record.type == dns::Type::kA || record.type == dns::Type::kAaaa;
  });
  const int status = reached ? kExitFine : kExitFailure;
  if (line.json) {
    Json list = Json::array();
    for (const Record& record : records) list.push_back(json_of(record));
    print(Json{{"ok", reached}, {"records", list}, {"warnings", place.warnings}}.dump() + "\n");
    return status;
  }
  Table table({"NAME", "TYPE", "VALUE", ""});
  for (const Record& record : records) {
    for (const std::string& value : record.values)
      table.row({record.name,
                 word(record.type),
                 value,
                 {record.optional ? "not needed, but wise" : "", Colour::kGrey}});
  }
  print(table.text(wants_colours()));
  show_warnings(place);
  return status;
}

Colour colour_of(const Finding& finding) {
  if (finding.state == State::kSeen) return Colour::kGreen;
  return finding.state == State::kMissing && finding.record.optional ? Colour::kGrey : Colour::kRed;
}

// 0 when the world sees what it needs, 2 when that could not be asked.
int status_of(const std::vector<Finding>& findings) {
  int status = kExitFine;
  for (const Finding& finding : findings) {
    if (finding.state == State::kUnknown) return kExitCannotRead;
    const bool fine =
        finding.state == State::kSeen || (finding.state == State::kMissing && finding.record.optional);
    if (!fine) status = kExitFailure;
  }
  return status;
}

int show_findings(const CommandLine& line, const std::vector<Finding>& findings, const Place& place) {
  const bool reached = std::ranges::any_of(findings, [](const Finding& finding) {
    const bool address = finding.record.type == dns::Type::kA || finding.record.type == dns::Type::kAaaa;
    return address && !finding.record.values.empty();
  });
  const int said = status_of(findings);
  const int status = said == kExitFine && !reached ? kExitFailure : said;
  if (line.json) {
    Json list = Json::array();
    for (const Finding& finding : findings) list.push_back(json_of(finding));
    print(Json{{"ok", status == kExitFine}, {"records", list}, {"warnings", place.warnings}}.dump() + "\n");
    return status;
  }
  Table table({"NAME", "TYPE", "STATE", "WANTED", "FOUND"});
  for (const Finding& finding : findings) {
    table.row({finding.record.name,
               word(finding.record.type),
               {word(finding.state), colour_of(finding)},
               joined(finding.record.values),
               printable(joined(finding.found))});
    if (!finding.note.empty()) table.note("  " + printable(finding.note));
  }
  print(table.text(wants_colours()));
  show_warnings(place);
  return status;
}

}  // namespace

int run_dns(const CommandLine& line) {
  const std::optional<std::string> path = find_site(line.file);
  if (!path) return complain(no_site_text(line.file), line.json, kExitCannotRead);
  topology::LoadOptions options;
  options.shown_as = shown_site(line.file, *path);
  options.resolve = topology::without_secrets;
  options.look_at_folders = false;
  const topology::LoadedSite loaded = topology::load_site(*path, options);
  if (!loaded.site) {
    fmt::print(stderr, "{}", loaded.text);
    return complain("the site file has errors", line.json,
                    loaded.unreadable ? kExitCannotRead : kExitFailure);
  }
  const topology::Site& site = *loaded.site;
  if (site.site.domain.empty()) {
    return complain("the site has no name yet: write `domain = \"shop.example.com\"` into [site]", line.json,
                    kExitFailure);
  }
  const Place place = place_of(site);
  const std::vector<Record> records = dns::records_of(site, place.addresses);
  if (!line.check) return show_records(line, records, place);
  const Result<std::vector<dns::Answer>> answers =
      dns::ask(dns::questions_of(site), {.server = line.resolver});
  if (!answers) return complain("--resolver: " + describe(answers.error()), line.json, kExitCannotRead);
  return show_findings(line, dns::compare(site, records, *answers), place);
}

}  // namespace terrace::program
