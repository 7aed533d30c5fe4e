#include "topology/codes.h"

#include <array>

namespace terrace::topology {
namespace {

constexpr std::array<CodeMeaning, 24> kCodes{{
    {"E001", "The file is not valid TOML. Only the first such place is reported."},
    {"E003", "The file, a line, or the nesting is larger than a site file can sensibly be."},
    {"E004", "The file is not UTF-8 text."},
    {"E005", "The file cannot be read."},
    {"E010", "A key that is required is missing."},
    {"E011", "A table has a name that is not known."},
    {"E012", "A key has a name that is not known in its table."},
    {"E013", "A value has the wrong type."},
    {"E014", "A number, duration, size or count is out of its range, or a string is too long."},
    {"E015", "A value is not one of the words that the key knows."},
    {"E016", "A value, or a name, does not have the form that it needs."},
    {"E017", "A table, key or value is known and comes with a later step or release."},
    {"E018",
     "A `${…}` cannot be replaced: not closed, not known, not set, not readable, or not "
     "allowed there."},
    {"E019", "A list names the same thing twice."},
    {"E020", "The site has neither an application nor files."},
    {"E021", "A folder or a file that a key names does not exist, or is too large."},
    {"E022", "A key needs another one."},
    {"E023", "Two keys contradict each other."},
    {"E024", "A setting would give away what visitors must not see."},
    {"W001", "A setting trusts everyone."},
    {"W002", "A secret is for another user, so that it was not looked at."},
    {"W003", "Something that several servers need is on each of them apart."},
    {"W004", "A server or a pool gets no requests, or one server is taken for two."},
    {"SPOF-LB", "There is only one load balancer, a single point of failure."},
}};

}  // namespace

std::span<const CodeMeaning> all_codes() { return kCodes; }

}  // namespace terrace::topology
