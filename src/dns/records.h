#pragma once

// The records that lead the world to a site, and how what a name server answers
// compares with them. Values in, values out: who asks is resolver.h. Names are in
// lower case and without the dot at their end.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "net/address.h"
#include "topology/site.h"

namespace terrace::dns {

// The numbers of RFC 1035, RFC 3596 and RFC 8659.
enum class Type : uint16_t { kA = 1, kCname = 5, kAaaa = 28, kCaa = 257 };
const char* word(Type type);

// The authority that issues the site's certificates (RFC 8659 section 4.2).
inline constexpr std::string_view kAuthority = "letsencrypt.org";

struct Record {
  std::string name;
  Type type = Type::kA;
  std::vector<std::string> values;  // the record set; a CAA's as a zone file has it
  // Without it the site works all the same.
  bool optional = false;
};

// Why the world cannot reach the address, such as "private (RFC 1918)"; empty when it can.
std::string_view why_unreachable(const net::Ip& address);

// What to enter for a site with a domain whose web server has these addresses; those that
// nobody reaches lead to no record.
std::vector<Record> records_of(const topology::Site& site, const std::vector<net::Ip>& addresses);

// One question, and what came back.
struct Question {
  std::string name;
  Type type = Type::kA;
  bool operator==(const Question&) const = default;
};
enum class Outcome : uint8_t {
  kFound,
  kNoRecord,  // the name exists, without such a record (NODATA, RFC 2308)
  kNoName,    // NXDOMAIN
  kFailed,    // no answer that says anything: `error`
};
struct Answer {
  Question question;
  Outcome outcome = Outcome::kFailed;
  std::vector<std::string> aliases;  // the CNAMEs on the way, in their order
  std::vector<std::string> values;   // sorted
  std::string error;                 // for a person
};

// All that must be asked to check the records.
std::vector<Question> questions_of(const topology::Site& site);

enum class State : uint8_t {
  kSeen,
  kMissing,    // nothing is there
  kElsewhere,  // it points to `found` instead, or there too
  kLeftOver,   // a record that should not be there: of an address that is not the site's
  kUnknown,    // the question was not answered
};
const char* word(State state);

struct Finding {
  Record record;
  State state = State::kUnknown;
  std::vector<std::string> found;
  std::string note;  // for a person
};

// Compares. `answers` are those to questions_of().
std::vector<Finding> compare(const topology::Site& site, const std::vector<Record>& records,
                             const std::vector<Answer>& answers);

}  // namespace terrace::dns
