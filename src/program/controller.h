#pragma once

// The controller: decides what runs. It reads the site file, asks the supervisor
// for sockets and instances, probes the instances, tells the worker which of them
// may get requests, writes the app's log and answers on the control socket.
//
// It may die at any moment: the supervisor keeps the accepted site file, the
// sockets, the instances and their tags, and the next controller goes on from
// there. One thread, one reactor. It never unwinds: at the end of the supervisor's
// channel it writes what the instances have still said and leaves.

#include <cstdlib>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "app/bake.h"
#include "app/lifecycle.h"
#include "base/log.h"
#include "health/rise_fall.h"
#include "net/listener.h"
#include "program/app_log.h"
#include "program/channel.h"
#include "program/conversation.h"
#include "program/folders.h"
#include "program/jobs.h"
#include "program/launch.h"
#include "program/log_keeper.h"
#include "program/releases.h"
#include "program/site_addresses.h"
#include "program/site_backups.h"
#include "program/stray_writes.h"
#include "program/terrace_log.h"
#include "program/waiting.h"
#include "reactor/mailbox.h"
#include "reactor/scope.h"
#include "topology/load.h"

namespace terrace::program {

struct Deploy;
struct DeployStep;

// One end of a channel with its watch.
struct Link {
  Descriptor socket;
  Watch watch;
};

// What the controller holds of one running instance.
struct ManagedInstance {
  explicit ManagedInstance(Reactor& reactor) : probe_now(reactor) {}

  InstanceRunning record;
  std::string name;  // "app-1@7"
  Descriptor output;
  Watch output_watch;
  Lines lines;
  std::deque<std::string> last_lines;
  health::RiseFall health;
  std::string last_probe;  // what came of it, for people: "answered 500"
  Alarm probe_now;         // cuts the wait for the next probe short
  bool ended = false;      // the instance, not yet its output
  Time started;
};

// What is remembered of a slot beyond its instances.
struct SlotMemory {
  std::string last_exit;
  std::deque<std::string> last_output;
};

// How an instance ended, for people: "exit status 1", "signal 9 (Killed)", "out of memory".
std::string end_text(const InstanceEnded& record);

// "app-1"
std::string instance_name(uint32_t slot);

// What a bake compares. Figures from before: of the old recipe from when the deploy
// began, of the new one from before its first instance started (it may have served
// earlier, as a release that is deployed again).
struct BakePlan {
  uint64_t old_recipe = 0;
  uint64_t fresh_recipe = 0;
  uint32_t old_ends = 0;  // in a row, of the old instance that ended most often
  app::BakeFigures old_before;
  app::BakeFigures fresh_before;
  Duration limit{};
};

class Controller final : net::Acceptor, JobStarter, BackupHost {
 public:
  Controller(Reactor& reactor, Log& log);
  Result<void> start();

 private:
  using Key = std::pair<uint32_t, uint32_t>;  // slot, generation
  struct ListenerState {
    Purpose purpose;
    std::string requested;
    std::string bound;  // empty: not yet answered, or failed
    int error = 0;
  };
  struct TickTimer final : Timer {
    explicit TickTimer(Controller& owner) : controller(owner) {}
    void expired() override { controller.tick(); }
    Controller& controller;
  };
  // As the supervisor handed them over.
  struct HandedSecrets {
    int error = 0;
    Descriptor packed;
  };
  // What came of a reload.
  struct ReloadResult {
    bool accepted = false;
    std::string text;  // for a person, when refused
    bool unreadable = false;
    std::vector<std::string> changed;  // what differs
  };
  // A version of the site file that the member offers, to be taken or only checked.
  struct Offer {
    explicit Offer(Reactor& reactor) : done(reactor) {}
    uint64_t version = 0;  // in the site's history
    std::string text;
    std::string shown_as;  // the file, in what is said of it; empty: by its path here
    bool check_only = false;
    ReloadResult result;
    Event done;
  };
  // At most a few wait: a newer file makes older ones pointless.
  struct AskedReload {
    int error = 0;
    Descriptor file;
    HandedSecrets secrets;
    std::shared_ptr<Offer> offer;  // then neither file nor secrets came with it
  };
  // What the site is now, as the member knows it.
  struct Newest {
    uint64_t version = 0;  // of the site file
    std::string text;
    bool has_release = false;
    uint32_t release = 0;
    bool drained = false;  // this server shall take no visitors
  };
  struct PastFigures {
    uint64_t recipe = 0;
    app::BakeFigures figures;
  };
  struct AdoptedInstance {
    InstanceRunning record;
    Descriptor output;
  };

  // controller.cc: the supervisor
  Task<void> read_supervisor();
  void handle(Received& received);
  void handle_welcome(const Welcome& welcome);
  void handle_reload(const Reload& record, Descriptor file);
  void handle_complete();
  void handle_listener(const Listener& record);
  void handle_listen_failed(const ListenFailed& record);
  void handle_stop();
  void handle_retiring(uint32_t count);
  [[noreturn]] void leave();
  template <Record T>
  void tell_supervisor(const T& record, int descriptor = -1);

  // controller.cc: the worker
  void connect_worker(Descriptor socket);
  Task<void> read_worker(std::shared_ptr<Link> link);
  void handle_worker(Received& received);
  void tell_worker_everything();
  void tell_worker_site();
  template <Record T>
  void tell_worker(const T& record, int descriptor = -1);

  // controller_site.cc: the site file
  Task<void> reload_when_asked();
  Task<ReloadResult> reload_from_disk(const AskedReload& asked);
  Task<ReloadResult> reload(std::string text, const HandedSecrets& secrets, std::shared_ptr<Offer> offer);
  void ask_for_reload(AskedReload asked);
  Task<bool> take_addresses(std::shared_ptr<const topology::Site> site, std::string& problem);
  void drop_addresses(const topology::Site& site);
  void accept(std::shared_ptr<const topology::Site> site, std::string text, const HandedSecrets& secrets);
  config::Inputs inputs_with(const HandedSecrets& secrets) const;
  topology::LoadedSite load_here(const std::string& text, const std::string& path,
                                 topology::LoadOptions options) const;
  void want_member();
  void restore(const Site& record, const Descriptor& text);
  std::string own_name(const topology::Site& site) const;
  const topology::Server* own_entry(const topology::Site& site) const;
  std::vector<SiteAddress> wanted_addresses(const topology::Site& site) const;
  bool balances(const topology::Site& site) const;
  bool only_balances(const topology::Site& site) const;
  void handle_standing(const BackendStanding& record);
  ListenerState* listener(Purpose purpose, std::string_view requested);
  std::string listen_problem() const;
  void consider_serving();
  Task<void> serve_without_app();
  void configure_logs();

  // controller_offer.cc: what the member brings: versions of the site file, secrets
  Task<std::string> answer_take_site(Conversation& talk, std::shared_ptr<Offer> offer);
  Task<std::string> answer_store_secret(Conversation& talk, std::string name);
  Task<std::string> answer_remove_secret(std::string name);
  Task<std::string> answer_read_secrets(Conversation& talk);
  Task<HandedSecrets> read_secrets();
  Task<std::string> write_site_file(std::string text);
  Task<std::string> store_secret(StoreSecret record, Descriptor value);
  Task<std::string> wait_until_written(uint32_t id);

  // controller_catch_up.cc: the start of one server of several
  Task<std::optional<Newest>> ask_for_newest(std::string text);
  Task<ReloadResult> catch_up(std::string text, const HandedSecrets& secrets);
  void take_newest_release(const Newest& newest);
  Task<void> await_release();
  std::string answer_served() const;

  // controller_drain.cc
  Task<std::string> listen_again();
  Task<std::string> answer_drain(Duration limit);
  Task<std::string> answer_undrain();
  uint64_t connections_open() const { return stats_ ? stats_->connections_open : 0; }

  // controller_app.cc: the instances
  topology::Machine machine() const {
    return {.cores = static_cast<int>(welcome_.cores), .memory_bytes = welcome_.memory_bytes};
  }
  void configure_app();
  app::LifecyclePlan plan_of(const topology::Site& site) const;
  void find_release_that_serves(const std::vector<AdoptedInstance>& all);
  bool take_release(uint32_t number, uint64_t recipe);
  void adopt(const AdoptedInstance& adopted);
  void take_over(AdoptedInstance adopted);
  std::shared_ptr<ManagedInstance> manage(const InstanceRunning& record, Descriptor output);
  void handle_running(const InstanceRunning& record, Descriptor output);
  void handle_ended(const InstanceEnded& record);
  void tick();
  void settle();
  void begin_together();
  void end_together();
  void carry_out(const app::Action& action);
  void start_instance(uint32_t slot, uint32_t generation);
  Result<void> ask_for_instance(uint32_t slot, uint32_t generation);
  void publish(uint32_t slot, uint32_t generation);
  void note(uint32_t slot, uint32_t generation);
  void say(const app::Action& action);
  std::string why_failed(uint32_t slot, uint32_t generation);
  std::string app_problem() const;
  InstanceUpdate update_of(uint32_t slot, uint32_t generation, const app::Member& member) const;
  Task<void> read_output(std::shared_ptr<ManagedInstance> instance);
  bool take_output(ManagedInstance& instance);
  Task<void> probe_while_running(std::shared_ptr<ManagedInstance> instance);
  Duration probe_pause(const ManagedInstance& instance) const;
  const app::Member* member_of(const ManagedInstance& instance) const;
  uint32_t release_of(uint32_t slot, uint32_t generation) const;
  std::string log_name(uint32_t slot, uint32_t generation) const;

  // controller_deploy.cc: deploys and rollbacks
  std::string why_no_deploy() const;
  std::shared_ptr<Deploy> begin_deploy(Conversation& talk, std::string by);
  struct DeployPhase {
    const char* name;
    Task<std::string> (Controller::*run)(Deploy&);
  };
  Task<std::string> go_through_phases(Deploy& deploy, std::span<const DeployPhase> phases);
  Task<std::string> switch_to_release(Deploy& deploy);
  Task<std::string> bake_release(Deploy& deploy);
  Task<std::string> end_deploy(Deploy& deploy, std::string problem);
  Task<std::string> take_back(std::shared_ptr<Deploy> deploy, std::string by);
  bool is_candidate(const app::Member& member) const;
  const topology::Site& site_of(const app::Member& member) const;
  uint32_t release_of(const app::Member& member) const;
  void switched();
  void went_back();
  void switch_failed(const app::Action& action);
  void serve_release(const char* prepared, const ReleaseTable& table);

  // controller_steps.cc: the steps of a deploy of the whole site, one by one
  std::string why_no_step(const DeployStep& step) const;
  Task<std::string> answer_step(Conversation& talk, DeployStep step);
  Task<std::string> make_staged(Deploy& deploy, std::span<const DeployPhase> phases);
  Task<std::string> build_here(Deploy& deploy);
  Task<std::string> stage_here(Deploy& deploy);
  Task<std::string> migrate_here(Deploy& deploy);
  Task<std::string> switch_here(Deploy& deploy);
  Task<std::string> answer_fail_release(uint32_t number, std::string reason);
  Task<std::string> answer_pack_release(Conversation& talk, uint32_t number);
  Task<std::string> send_packed(Conversation& talk, net::Stream& packed);

  // controller_release.cc: the files of releases
  struct BesideJob {
    explicit BesideJob(Reactor& reactor) : ended(reactor) {}
    JobResult result;
    Event ended;
  };
  ReleaseFile release_file() const;
  void load_releases();
  std::string releases_problem() const;
  bool awaits_release() const;
  bool runs_without_app() const;
  void handle_release_folder(const ReleaseFolder& record);
  Task<std::string> make_release(uint32_t number);
  Task<std::string> wait_for_release(uint32_t number);
  bool serves_still(uint32_t number) const;
  Task<void> remove_unneeded_releases(uint32_t last);
  Task<void> clean_up_releases();
  JobPlan job_in(const std::string& folder, const std::string& name, uint32_t number) const;
  std::vector<topology::Named> job_environment() const;
  Task<void> run_beside(std::shared_ptr<BesideJob> beside, JobPlan plan, JobLine on_line);
  Task<std::string> run_phase_job(Deploy& deploy, JobPlan plan, std::string what);
  Task<std::string> unpack_release(Deploy& deploy);
  Task<std::string> receive_upload(Deploy& deploy, net::Stream& sink);
  Task<void> link_late_writes(Deploy& deploy);
  Task<std::string> prepare_release(Deploy& deploy);
  Task<std::string> build_release(Deploy& deploy);
  Task<std::string> measure_release(Deploy& deploy);
  Task<std::string> migrate_release(Deploy& deploy);
  void note_site_file(Deploy& deploy, const std::string& folder);
  std::string what_is_missing(const topology::Site& site) const;
  std::string other_owner(uint32_t number) const;
  Task<void> migrate_first();
  void say_first_migration_failed(const JobResult& result);

  // controller_writes.cc: what the application writes where it does not last
  void look_after_release(uint32_t number, const topology::Site& site);
  Task<void> look_after_writes();
  void say_stray_write(const std::string& path);

  // JobStarter
  void start_job(const StartInstance& record, int input) override;
  void signal_job(const SignalInstance& record) override;

  // controller_bake.cc
  app::BakeFigures figures_of(uint64_t recipe) const;
  Task<void> note_figures();
  Task<void> wait_until_worker_serves();
  Task<app::BakeFigures> fresh_figures_of(uint64_t recipe);
  uint32_t ends_in_a_row() const;
  std::string why_unstable(const BakePlan& plan, bool over) const;
  // Right after kSwitched. Ends with the limit, earlier when the new release is worse
  // or the bake was ended otherwise. What follows, keep() or go_back(), is the owner's.
  Task<app::BakeVerdict> bake(BakePlan plan);

  // controller_backup.cc: backups and restores
  std::shared_ptr<const topology::Site> backup_site() const override { return site_; }
  std::string restore_obstacle() const override;
  void hold_app() override;
  void release_app() override;
  void publish_backup(const BackupReport& report) override { tell_worker(report); }
  Task<std::string> answer_backup(Conversation& conversation);
  Task<std::string> answer_restore(std::string name, Conversation& conversation);

  // controller_control.cc: the control socket
  Result<void> open_control_socket();
  bool may_ask(const Descriptor& socket) const;
  void accepted(Descriptor socket, const net::Peer& peer) override;
  Task<void> serve(Descriptor socket);
  Task<std::string> answer(std::string_view line, Conversation& conversation);
  Task<std::string> answer_as_one_of_several(std::string line, Conversation& conversation);
  Task<std::string> answer_status();
  Task<std::string> answer_reload();
  Task<std::string> answer_restart();
  Task<std::string> answer_upgrade();
  Task<std::string> answer_deploy(Conversation& talk, std::string by);
  Task<std::string> answer_rollback(Conversation& talk, std::string by);
  std::string answer_cancel();
  std::string answer_releases() const;
  Task<void> refresh_stats();

  Reactor& reactor_;
  Log& log_;
  std::unique_ptr<TerraceLog> terrace_log_;  // what log_ copies to
  Scope scope_;
  Link supervisor_;
  Welcome welcome_;
  Folders folders_;

  std::shared_ptr<Link> worker_;  // null while none lives
  WorkerStarted worker_started_;
  MemberStarted member_started_;
  uint32_t worker_site_ = 0;  // the version that it serves
  uint32_t retiring_ = 0;     // workers of before an upgrade
  std::vector<Drained> drained_but_for_them_;
  std::optional<Stats> stats_;
  uint32_t stats_asked_ = 0;
  std::deque<PastFigures> history_;  // oldest first

  std::shared_ptr<const topology::Site> site_;
  std::string site_text_;
  uint32_t version_ = 0;
  uint64_t applied_ = 0;        // the version in the history of a site of several servers; 0: none
  HandedSecrets secrets_;       // for the Reload or the Site that follows them
  HandedSecrets secrets_read_;  // the answer to ReadSecrets
  Event secrets_answered_;
  bool reading_secrets_ = false;
  uint32_t writes_asked_ = 0;
  std::map<uint32_t, Written> written_;  // by id, until they are heard
  Event write_answered_;
  std::string refused_;                                            // why the last reload was refused
  std::map<std::string, std::vector<BackendStanding>> standings_;  // by pool; of a load balancer
  std::vector<ListenerState> listeners_;
  std::optional<Time> given_up_;  // when an address was, last
  Event listener_answered_;
  std::deque<AskedReload> reloads_;
  Alarm reload_now_;
  uint32_t reloads_received_ = 0;
  uint32_t reloads_done_ = 0;
  ReloadResult last_reload_;
  Event reloaded_;

  app::Lifecycle lifecycle_;
  TickTimer tick_timer_;
  AppLog app_log_;
  Jobs jobs_;
  LogKeeper log_keeper_;
  SiteBackups backups_;
  std::map<Key, ListenPlace> places_;
  std::map<Key, uint32_t> started_from_;  // the release; 0: the site's folder
  std::map<Key, std::shared_ptr<ManagedInstance>> instances_;
  std::map<uint32_t, SlotMemory> memory_;
  std::vector<AdoptedInstance> adopted_;
  std::vector<InstanceEnded> ended_before_;
  bool held_said_ = false;  // to the worker
  bool together_ = false;   // begun at the worker
  bool complete_ = false;   // the supervisor has said all that it knew
  std::optional<bool> roll_result_;
  std::string roll_problem_;  // why the last roll failed
  Event rolled_;
  std::string upgrade_refused_;
  Event upgrade_answered_;

  ReleaseTable releases_;
  bool releases_readable_ = true;
  bool release_known_ = true;                          // which one serves; else all stays as it is
  std::shared_ptr<Deploy> deploy_;                     // under way
  std::map<uint32_t, ReleaseFolder> release_answers_;  // by number, until they are heard
  Event release_answered_;
  bool removing_ = false;         // folders of releases that nobody needs
  bool first_migration_ = false;  // under way
  bool migrated_ = false;         // or not needed
  std::string migrate_problem_;   // why the first `migrate` failed

  std::unique_ptr<net::Listener> control_;
  int conversations_ = 0;                    // on the control socket
  uint32_t packs_ = 0;                       // of releases, ever
  std::optional<uint32_t> awaited_release_;  // visitors wait for it
  bool taking_site_ = false;                 // a version of the site file is being written
  bool drained_ = false;                     // no address for visitors is listened on
  bool serving_ = false;
  bool stopping_ = false;

  StrayWrites stray_writes_;
  uint32_t looked_after_ = 0;  // the release that they are of; 0: none
};

template <Record T>
void Controller::tell_supervisor(const T& record, int descriptor) {
  const Result<void> sent = send_record(supervisor_.socket.get(), record, descriptor);
  if (sent) return;
  // Nothing is lost with us: the next controller asks the supervisor what is.
  log_.error("the supervisor does not listen", {{"error", describe(sent.error())}});
  std::_Exit(1);
}

template <Record T>
void Controller::tell_worker(const T& record, int descriptor) {
  if (!worker_) return;
  const Result<void> sent = send_record(worker_->socket.get(), record, descriptor);
  if (!sent && sent.error().code != Code::kClosed)
    log_.error("the worker does not listen", {{"error", describe(sent.error())}});
}

}  // namespace terrace::program
