#pragma once

// The shared state as JSON texts: what servers ask each other (state.* requests of the
// control channel), and what lies on disk. Values are base64, as they may be any bytes.
// The parsers are strict: a member that is missing, unknown, of another type or outside
// the limits of state.h makes the whole text kInvalid.
//
//   {"ask": "get", "key": "site"}                       {"entry": {…}} or {"entry": null}
//   {"ask": "list", "prefix": ""}                       {"snapshot": {…}}
//   {"ask": "commit", "commit": {…}}                    {"outcome": "done", "version": 18}
//   {"ask": "watch", "prefix": "", "since": 17, "wait_ms": 5000}
//                                                       {"changes": {…}} or {"nothing": true}
//   {"ask": "where"}                                    {"placement": {…}}
//   {"ask": "take", "placement": {…}, "snapshot": {…}}  {"outcome": "done", "version": 18}
//     `take` hands the whole state over to the server that is asked: it is the
//     coordinator from then on.
// Any of them may be answered {"error": "unavailable", "text": "…"}, with the placement
// when the state is held elsewhere.

#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include "cluster/placement.h"
#include "cluster/state.h"

namespace terrace::cluster {

// What any of these texts may have: kStateBytesMax in base64 with keys and brackets.
constexpr size_t kStateTextBytesMax = 16 << 20;
// Of one `watch` request; then it is answered "nothing" and asked again.
constexpr Duration kWatchWaitMax = std::chrono::seconds(20);

struct GetRequest {
  std::string key;
  bool operator==(const GetRequest&) const = default;
};
struct ListRequest {
  std::string prefix;
  bool operator==(const ListRequest&) const = default;
};
struct WatchRequest {
  std::string prefix;
  Version since = 0;
  std::chrono::milliseconds wait{0};
  bool operator==(const WatchRequest&) const = default;
};
struct WhereRequest {
  bool operator==(const WhereRequest&) const = default;
};
struct TakeRequest {
  Placement placement;
  Snapshot snapshot;
  bool operator==(const TakeRequest&) const = default;
};
using StateRequest = std::variant<GetRequest, ListRequest, Commit, WatchRequest, WhereRequest, TakeRequest>;

struct Nothing {
  bool operator==(const Nothing&) const = default;
};
struct Absent {
  bool operator==(const Absent&) const = default;
};
// Nobody could say, or the state is held elsewhere.
struct Unanswered {
  std::string text;
  Placement elsewhere;  // generation 0: not known
  bool operator==(const Unanswered&) const = default;
};
using StateAnswer = std::variant<Unanswered, Absent, Entry, Snapshot, Committed, Changes, Nothing, Placement>;

std::string to_json(const StateRequest& request);
Result<StateRequest> parse_state_request(std::string_view text);
std::string to_json(const StateAnswer& answer);
Result<StateAnswer> parse_state_answer(std::string_view text);

// One record of a coordinator's journal.
struct Record {
  // A beginning: everything there is. The first record of a file, and only there.
  std::optional<Snapshot> begin;
  // A commit: what it wrote, with the version it made.
  Version version = 0;
  std::vector<Write> writes;
  // Who holds the state from here on. `moving`: it is being handed over; nobody may
  // write meanwhile.
  std::optional<Placement> placement;
  bool moving = false;
  bool operator==(const Record&) const = default;
};
std::string to_json(const Record& record);
Result<Record> parse_record(std::string_view text);

std::string to_json(const Placement& placement);
Result<Placement> parse_placement(std::string_view text);

}  // namespace terrace::cluster
