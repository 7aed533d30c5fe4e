// All parts together against backends that die, fall silent, become slow or answer
// errors, in virtual time and with a load of a constant rate: what visitors would see.
// TERRACE_SEED repeats a world.

#include <gtest/gtest.h>

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <queue>

#include "health/check_schedule.h"
#include "lb/balancer.h"
#include "lb/policy_fixture.h"
#include "lb/pool.h"
#include "lb/retry.h"

namespace terrace::lb {
namespace {

using Kind = Balancer::Outcome::Kind;
using std::chrono::milliseconds;
using std::chrono::seconds;

enum class Condition : uint8_t { kWell, kDead, kSilent, kErrors };

struct Backend {
  std::string name;
  Condition condition = Condition::kWell;
  Duration latency = milliseconds(10);
};

struct Request {
  Time begun;
  BackendSet tried;
  int tries = 0;
  Balancer::Place place;
  Time sent;
  bool open = false;  // at a backend
};

// What became of the requests since the last look.
struct Seen {
  std::map<std::string, int> answers;  // by backend
  int failed = 0;
  int errors = 0;
  Duration longest{0};
  int total() const {
    int sum = 0;
    for (const auto& [name, count] : answers) sum += count;
    return sum;
  }
};

class World {
 public:
  World(uint64_t seed, PoolPlan plan, const BalancerOptions& options, size_t cores = 2) : random_(seed) {
    for (const BackendPlan& one : plan.backends) backends_.push_back({.name = one.name});
    pool_.configure(std::move(plan), now_);
    for (size_t i = 0; i < cores; ++i) {
      BalancerOptions own = options;
      own.first = i;
      cores_.push_back(std::make_unique<Core>(own, random_, now_));
    }
    for (size_t i = 0; i < backends_.size(); ++i) {
      schedules_.emplace_back(kChecks, random_, now_);
      at(now_, [this, i] { begin_check(i); });
    }
    publish();
    at(now_, [this] { tick(); });
  }

  // Lets the time pass with so many requests per second, and says what became of them.
  Seen run(Duration time, int per_second) {
    seen_ = {};
    const Duration gap = Duration(seconds(1)) / per_second;
    for (Duration passed{0}; passed < time; passed += gap) {
      at(now_ + passed, [this] { arrive(); });
    }
    run_until(now_ + time);
    return seen_;
  }
  Backend& operator[](size_t i) { return backends_[i]; }
  const Standing& standing(size_t i) const { return pool_.standings()[i]; }
  static constexpr health::CheckPlan kChecks{
      .interval = seconds(2), .interval_in_doubt = milliseconds(250), .timeout = seconds(1)};

 private:
  struct Core {
    Core(const BalancerOptions& options, Random& random, Time now)
        : balancer(options, random), budget({}, now) {}
    Balancer balancer;
    RetryBudget budget;
    std::deque<std::shared_ptr<Request>> waiting;
    std::vector<std::shared_ptr<Request>> under_way;
  };
  struct Event {
    Time time;
    uint64_t number;
    std::function<void()> run;
    bool operator>(const Event& other) const {
      return std::tie(time, number) > std::tie(other.time, other.number);
    }
  };

  void at(Time time, std::function<void()> run) { events_.push({time, ++number_, std::move(run)}); }

  void run_until(Time end) {
    while (!events_.empty() && events_.top().time <= end) {
      const Event event = events_.top();
      events_.pop();
      now_ = event.time;
      event.run();
    }
    now_ = end;
  }

  void arrive() {
    Core& core = *cores_[random_.below(cores_.size())];
    core.budget.request(now_);
    start(core, std::make_shared<Request>(Request{.begun = now_}));
  }

  void start(Core& core, const std::shared_ptr<Request>& request) {
    const auto place = core.balancer.take(random_.next(), request->tried, now_);
    if (!place) {
      core.waiting.push_back(request);
      return;
    }
    request->place = *place;
    request->sent = now_;
    request->open = true;
    ++request->tries;
    core.under_way.push_back(request);
    const Backend& backend = backend_at(core, *place);
    if (backend.condition == Condition::kDead) return fail(core, request, false);
    if (backend.condition == Condition::kSilent) return;
    at(now_ + backend.latency, [this, &core, request] { answer(core, request); });
  }

  Backend& backend_at(Core& core, const Balancer::Place& place) {
    return backends_[pool_.find(core.balancer.name(place.position)).value()];
  }

  void answer(Core& core, const std::shared_ptr<Request>& request) {
    if (!request->open) return;
    const Backend& backend = backend_at(core, request->place);
    // What happened to it in between happened to this request.
    if (backend.condition == Condition::kDead) return fail(core, request, true);
    if (backend.condition == Condition::kSilent) return;
    const bool error = backend.condition == Condition::kErrors;
    leave(core, request, {.status = error ? 500 : 200, .latency = now_ - request->sent});
    seen_.errors += error ? 1 : 0;
    ++seen_.answers[backend.name];
    seen_.longest = std::max(seen_.longest, now_ - request->begun);
    wake(core);
  }

  void leave(Core& core, const std::shared_ptr<Request>& request, const Balancer::Outcome& outcome) {
    request->open = false;
    std::erase(core.under_way, request);
    core.balancer.finish(request->place, outcome, now_);
  }

  void fail(Core& core, const std::shared_ptr<Request>& request, bool sent) {
    leave(core, request, {.kind = sent ? Kind::kBroken : Kind::kRefused});
    request->tried.add(request->place.position);
    const bool again = may_retry({.idempotent = true, .perhaps_processed = sent, .tries = request->tries}) &&
                       (!sent || core.budget.retry(now_));
    if (again) return start(core, request);
    ++seen_.failed;
  }

  void wake(Core& core) {
    std::deque<std::shared_ptr<Request>> waiting;
    waiting.swap(core.waiting);
    for (const auto& request : waiting) {
      if (now_ - request->begun > kQueueTimeout)
        ++seen_.failed;
      else
        start(core, request);
    }
  }

  void begin_check(size_t i) {
    const Condition condition = backends_[i].condition;
    const bool silent = condition == Condition::kSilent;
    at(silent ? now_ + kChecks.timeout : now_, [this, i, condition] {
      const bool success = condition == Condition::kWell || condition == Condition::kErrors;
      health::CheckSchedule& schedule = schedules_[i];
      schedule.checked(success, now_);
      pool_.checked(i, schedule.health(), schedule.doubt(), success ? "" : "no answer", now_);
      publish();
      at(schedule.next(), [this, i] { begin_check(i); });
    });
  }

  // What the controller does with what the cores saw. A suspicion is only checked at the
  // next check here, which is the slower of two ways.
  void tick() {
    pool_.tick(now_);
    for (const auto& core : cores_) {
      core->balancer.tick(now_);
      for (size_t i : core->balancer.take_suspects())
        schedules_[pool_.find(core->balancer.name(i)).value()].suspect(now_);
      for (size_t i : core->balancer.take_verdicts())
        pool_.eject(pool_.find(core->balancer.name(i)).value(), reason_of(core->balancer.verdict(i)), now_);
    }
    publish();
    for (const auto& core : cores_) wake(*core);
    at(now_ + milliseconds(100), [this] { tick(); });
  }

  void publish() {
    if (pool_.take_changed().empty()) return;
    for (const auto& core : cores_) {
      core->balancer.update(pool_.standings(), now_);
      drop_requests_of_the_dead(*core);
    }
  }

  // Connections to one that is down are closed.
  void drop_requests_of_the_dead(Core& core) {
    const std::vector<std::shared_ptr<Request>> under_way = core.under_way;
    for (const auto& request : under_way) {
      const size_t i = pool_.find(core.balancer.name(request->place.position)).value();
      if (pool_.standings()[i].state == State::kDown) fail(core, request, true);
    }
  }

  static constexpr Duration kQueueTimeout = seconds(10);
  Random random_;
  Time now_{std::chrono::hours(1)};
  std::vector<Backend> backends_;
  std::vector<health::CheckSchedule> schedules_;
  Pool pool_;
  std::vector<std::unique_ptr<Core>> cores_;
  std::priority_queue<Event, std::vector<Event>, std::greater<>> events_;
  uint64_t number_ = 0;
  Seen seen_;
};

PoolPlan three(Mode mode = Mode::kActiveActive) {
  return {.backends = {{.name = "a"}, {.name = "b"}, {.name = "c"}}, .mode = mode};
}

constexpr int kRate = 300;

class WorldTest : public testing::TestWithParam<Algorithm> {
 protected:
  World world(PoolPlan plan = three()) { return {seed_, std::move(plan), {.algorithm = GetParam()}}; }
  const uint64_t seed_ = test_seed();
  const testing::ScopedTrace trace_{__FILE__, __LINE__, "TERRACE_SEED=" + std::to_string(seed_)};
};

TEST_P(WorldTest, SharesAreEvenWhereAllAreWell) {
  World world = this->world();
  world.run(seconds(5), kRate);
  Seen seen = world.run(seconds(20), kRate);
  for (const char* name : {"a", "b", "c"})
    EXPECT_NEAR(seen.answers[name], seen.total() / 3, seen.total() / 20);
  EXPECT_EQ(seen.failed, 0);
}

TEST_P(WorldTest, AfterAKillNoRequestFailsAndTheFullShareComesBackWithTheSlowStart) {
  World world = this->world();
  world.run(seconds(10), kRate);
  world[1].condition = Condition::kDead;
  const Seen without = world.run(seconds(30), kRate);
  EXPECT_EQ(without.failed, 0);
  EXPECT_LT(without.longest, seconds(1));
  EXPECT_EQ(world.standing(1).state, State::kDown);
  world[1].condition = Condition::kWell;
  // Found by a check, and then the slow start.
  Seen back = world.run(seconds(3) + seconds(10), kRate);
  EXPECT_GT(back.answers["b"], 0);
  EXPECT_EQ(world.standing(1).state, State::kUp);
  Seen seen = world.run(seconds(20), kRate);
  EXPECT_NEAR(seen.answers["b"], seen.total() / 3, seen.total() / 20);
  EXPECT_EQ(back.failed + seen.failed, 0);
}

TEST_P(WorldTest, WhenOneFallsSilentNobodyWaitsLongerThanTheIntervalTimesFall) {
  World world = this->world();
  world.run(seconds(10), kRate);
  world[2].condition = Condition::kSilent;
  const Seen seen = world.run(seconds(30), kRate);
  EXPECT_EQ(seen.failed, 0);
  EXPECT_LE(seen.longest, World::kChecks.interval * World::kChecks.thresholds.fall + seconds(1));
}

TEST_P(WorldTest, OneThatAnswersErrorsIsEjected) {
  World world = this->world();
  world.run(seconds(10), kRate);
  world[0].condition = Condition::kErrors;
  const Seen seen = world.run(seconds(5), kRate);
  EXPECT_LT(seen.errors, 60);
  EXPECT_EQ(world.standing(0).state, State::kEjected);
}

TEST_P(WorldTest, AfterAllWereGoneTheSiteComesBackByItself) {
  World world = this->world();
  world.run(seconds(10), kRate);
  for (size_t i = 0; i < 3; ++i) world[i].condition = Condition::kDead;
  EXPECT_GT(world.run(seconds(30), kRate).failed, 0);
  for (size_t i = 0; i < 3; ++i) world[i].condition = Condition::kWell;
  world.run(seconds(5), kRate);
  const Seen seen = world.run(seconds(10), kRate);
  EXPECT_EQ(seen.failed, 0);
  EXPECT_LT(seen.longest, seconds(1));
}

TEST_P(WorldTest, AStandbyGetsNothingUntilTheFailureAndNothingAfterTheReturn) {
  World world = this->world(three(Mode::kActivePassive));
  EXPECT_EQ(world.run(seconds(10), kRate).answers.size(), 1U);
  world[0].condition = Condition::kDead;
  Seen seen = world.run(seconds(10), kRate);
  EXPECT_EQ(seen.failed, 0);
  EXPECT_GT(seen.answers["b"], 9 * kRate);
  EXPECT_EQ(seen.answers["c"], 0);
  world[0].condition = Condition::kWell;
  world.run(seconds(5), kRate);
  seen = world.run(seconds(10), kRate);
  EXPECT_EQ(seen.answers.size(), 1U);
  EXPECT_EQ(seen.failed, 0);
}

std::string algorithm_name(const testing::TestParamInfo<Algorithm>& test) {
  constexpr const char* kNames[] = {"RoundRobin", "LeastConnections", "LeastLatency", "IpHash",
                                    "ConsistentHash"};
  return kNames[static_cast<size_t>(test.param)];
}

INSTANTIATE_TEST_SUITE_P(Each, WorldTest,
                         testing::Values(Algorithm::kRoundRobin, Algorithm::kLeastConnections,
                                         Algorithm::kLeastLatency, Algorithm::kConsistentHash),
                         algorithm_name);

}  // namespace
}  // namespace terrace::lb
