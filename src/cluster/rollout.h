#pragma once

// A deploy or rollback over all servers of a site, as decisions only: what is asked of
// which server next, by what each has answered. One order at a time is carried out by its
// owner, who then says what came of it.
//
// The release is built on one server, fetched by the others, migrated once, then switched
// to on one server after the other; a switch starts the new instances beside the old ones,
// so no server ever has fewer than its number. Last it is recorded as the one that serves:
// that one commit makes the deploy true. Until then every server that loses its power, and
// every one when the deploy is given up, goes back to what is recorded (follow.h): giving
// up is to remove the deploy's note.

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace terrace::cluster {

struct RolloutPlan {
  std::string builder;               // of a deploy; it is among `servers`. Of a rollback: who has the release
  std::vector<std::string> servers;  // that answered when it began, in the order of the switch
  std::vector<std::string> missing;  // of these: who does not have the release of a rollback
  bool rollback = false;             // nothing is built and nothing migrated
};

enum class OrderKind : uint8_t {
  kBuild,
  kFetch,  // from the builder
  kMigrate,
  kSwitch,
  kRecord,    // the release serves: on no server, in the shared state
  kGiveUp,    // remove the note: every server goes back
  kAwaitOld,  // until this server serves what is recorded
  kForget,    // its files are of no use any more
};

struct Order {
  OrderKind kind = OrderKind::kBuild;
  std::string server;
  bool bakes = false;  // kSwitch: the first server's first minute is compared before others follow
  bool operator==(const Order&) const = default;
};
// "build", "fetch", "migrate", "start", …: for people.
const char* word(OrderKind kind);

enum class Came : uint8_t {
  kDone,
  kFailed,       // it was tried and did not work, or the answer never came
  kUnreachable,  // the server was never asked: it is down
};

class Rollout {
 public:
  explicit Rollout(RolloutPlan plan);

  // What is to be done now; none: it is over.
  std::optional<Order> next() const;
  // What came of it; `why` of a failure, for people.
  void came(const Order& order, Came what, std::string why = "");
  // Before it is recorded: give up as after a failure.
  void call_off(std::string why);

  bool over() const { return !next(); }
  bool succeeded() const { return recorded_; }
  const std::string& why() const { return why_; }
  // Where and in what it failed; the builder and kBuild when it did not.
  const Order& failed_at() const { return failed_at_; }
  const std::string& builder() const { return plan_.builder; }
  // Who has the release now.
  std::vector<std::string> holders() const;
  // Down: they take the release before they serve again.
  const std::vector<std::string>& left_out() const { return left_out_; }

 private:
  struct Place {
    std::string server;
    bool has = false;       // the release
    bool switched = false;  // or may have
    bool forgot = false;
  };
  enum class Stage : uint8_t { kForward, kGivingUp, kBack, kOver };

  Place& place(const std::string& server);
  void fail(const Order& order, std::string why);
  std::optional<Order> next_forward() const;
  std::optional<Order> next_back() const;

  RolloutPlan plan_;
  std::vector<Place> places_;
  bool migrated_ = false;
  bool recorded_ = false;
  Stage stage_ = Stage::kForward;
  std::string why_;
  Order failed_at_;
  std::vector<std::string> left_out_;
};

}  // namespace terrace::cluster
