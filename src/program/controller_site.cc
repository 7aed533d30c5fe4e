// The controller's part about the site file: reading, refusing, accepting.

#include <cerrno>
#include <cstring>

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <utility>

#include "program/controller.h"
#include "program/own_server.h"
#include "program/secrets.h"
#include "program/text_descriptor.h"

namespace terrace::program {
namespace {

constexpr size_t kSiteBytesMax = 1 << 20;
// The worker closes an address a little after it was given up (core.cc), as one is that was
// opened to see whether a version of the site file would do.
constexpr std::chrono::seconds kGivenUpFor{3};
constexpr std::chrono::milliseconds kPause{200};
constexpr int kExitFailure = 1;
constexpr int kExitCannotRead = 2;

std::string hint_of(int error) {
  if (error == EADDRINUSE) return "another program listens there";
  if (error == EACCES) return "ports under 1024 need root";
  if (error == EADDRNOTAVAIL) return "this machine does not have the address";
  return "";
}

// The machine may lack IPv6 altogether: an address of another family then serves.
bool is_absence(int error) { return error == EADDRNOTAVAIL || error == EAFNOSUPPORT; }

}  // namespace

// One file after the other, however many ask.
Task<void> Controller::reload_when_asked() {
  for (;;) {
    while (reloads_.empty()) co_await reload_now_.wait(std::chrono::hours(1));
    const AskedReload asked = std::move(reloads_.front());
    reloads_.pop_front();
    if (const std::shared_ptr<Offer> offer = asked.offer) {
      const HandedSecrets secrets = co_await read_secrets();
      offer->result = co_await reload(offer->text, secrets, offer);
      offer->done.set();
      settle();
      continue;
    }
    ReloadResult result = co_await reload_from_disk(asked);
    last_reload_ = result;
    ++reloads_done_;
    reloaded_.set();
    reloaded_.reset();
    refused_ = result.accepted ? "" : result.text;
    if (!result.accepted && !site_) {
      std::fputs(result.text.c_str(), stderr);
      tell_supervisor(StopSite{.exit_code = result.unreadable ? kExitCannotRead : kExitFailure});
    } else if (!result.accepted) {
      log_.error("the changed site file is refused; the one before stays", {{"diagnostics", result.text}});
    }
    settle();
  }
}

Task<Controller::ReloadResult> Controller::reload_from_disk(const AskedReload& asked) {
  Result<std::string> text = asked.error != 0 ? fail_system("open", asked.error)
                                              : read_text_descriptor(asked.file.get(), kSiteBytesMax);
  ReloadResult result = {.unreadable = true};
  if (!text) {
    result.text = fmt::format("error: the site file cannot be read: {}\n", describe(text.error()));
    co_return result;
  }
  if (applied_ != 0 && *text != site_text_) {
    co_return ReloadResult{
        .text = fmt::format("error: the site file is not version {}, which all servers of this site run\n"
                            "  = fix: `terrace apply {}` gives it to all of them\n",
                            applied_, welcome_.site_path.view())};
  }
  if (!site_ && welcome_.joined != 0) {
    result = co_await catch_up(std::move(*text), asked.secrets);
  } else {
    result = co_await reload(std::move(*text), asked.secrets, nullptr);
  }
  co_return result;
}

// A load balancer alone is given no secret of the application, and needs none.
topology::LoadedSite Controller::load_here(const std::string& text, const std::string& path,
                                           topology::LoadOptions options) const {
  topology::LoadedSite whole = topology::load_site_text(text, path, options);
  if (whole.site) return whole;
  options.resolve = topology::without_secrets;
  topology::LoadedSite bare = topology::load_site_text(text, path, options);
  return bare.site && only_balances(*bare.site) ? std::move(bare) : std::move(whole);
}

// Whole or not at all: everything that can refuse it comes before the first change.
Task<Controller::ReloadResult> Controller::reload(std::string text, const HandedSecrets& secrets,
                                                  std::shared_ptr<Offer> offer) {
  const std::string path(welcome_.site_path.view());
  if (deploy_) co_return ReloadResult{.text = "error: a deploy is under way; reload when it is done\n"};
  if (!releases_readable_) load_releases();
  if (!releases_readable_) co_return ReloadResult{.text = releases_problem()};
  topology::LoadOptions options;
  count_from_release(options, path, folders_.state);
  options.root = release_root(folders_.state, releases_);
  options.inputs = inputs_with(secrets);
  if (offer) options.shown_as = offer->shown_as;
  const topology::LoadedSite loaded = load_here(text, path, options);
  if (!loaded.site) co_return ReloadResult{.text = loaded.text};
  std::string problem;
  bool bound = co_await take_addresses(loaded.site, problem);
  while (!bound && given_up_ && reactor_.now() - *given_up_ < kGivenUpFor) {
    co_await sleep(reactor_, kPause);
    bound = co_await take_addresses(loaded.site, problem);
  }
  if (!bound) co_return ReloadResult{.text = problem};
  // While it waited, the paths of the site may have moved to another release.
  if (deploy_ || options.root != release_root(folders_.state, releases_)) {
    drop_addresses(*site_);
    co_return ReloadResult{.text = "error: a deploy has begun meanwhile; reload when it is done\n"};
  }
  ReloadResult result{.accepted = true, .text = loaded.text};
  if (site_) result.changed = topology::difference(*site_, *loaded.site);
  if (offer && offer->check_only) {
    if (site_) drop_addresses(*site_);
    co_return result;
  }
  if (offer) {
    taking_site_ = true;
    const std::string unwritten = co_await write_site_file(text);
    taking_site_ = false;
    if (!unwritten.empty()) {
      if (site_) drop_addresses(*site_);
      co_return ReloadResult{.text = fmt::format("error: {} cannot be written: {}\n", path, unwritten)};
    }
    applied_ = offer->version;
  }
  accept(loaded.site, std::move(text), secrets);
  drop_addresses(*loaded.site);
  co_return result;
}

// Binds what the new site adds. When that fails nothing has changed.
Task<bool> Controller::take_addresses(std::shared_ptr<const topology::Site> site, std::string& problem) {
  std::vector<std::pair<Purpose, std::string>> fresh;
  const auto want = [&](Purpose purpose, const std::string& address) {
    const ListenerState* known = listener(purpose, address);
    if (known != nullptr && known->error == 0) return;
    if (known == nullptr) listeners_.push_back({.purpose = purpose, .requested = address});
    listener(purpose, address)->error = 0;
    fresh.emplace_back(purpose, address);
    Listen record{.purpose = purpose};
    (void)record.requested.set(address);
    tell_supervisor(record);
  };
  for (const SiteAddress& each : wanted_addresses(*site)) want(each.purpose, each.address);
  const auto unanswered = [&](const std::pair<Purpose, std::string>& each) {
    const ListenerState* state = listener(each.first, each.second);
    return state != nullptr && state->bound.empty() && state->error == 0;
  };
  while (std::ranges::any_of(fresh, unanswered)) {
    listener_answered_.reset();
    co_await listener_answered_.wait();
  }
  problem = listen_problem();
  if (problem.empty()) co_return true;
  for (const auto& [purpose, address] : fresh) {
    Unlisten record{.purpose = purpose};
    (void)record.requested.set(address);
    tell_supervisor(record);
    std::erase_if(listeners_, [&](const ListenerState& each) {
      return each.purpose == purpose && each.requested == address;
    });
  }
  co_return false;
}

// Empty where it has no entry.
std::string Controller::own_name(const topology::Site& site) const {
  return own_server(site, std::string(welcome_.server.view()), own_addresses()).value_or("");
}

// Of this machine; null for a site that names no servers.
const topology::Server* Controller::own_entry(const topology::Site& site) const {
  const auto found = std::ranges::find(site.servers, own_name(site), &topology::Server::name);
  return found == site.servers.end() ? nullptr : &*found;
}

// Whether this machine is one of the site's load balancers.
bool Controller::balances(const topology::Site& site) const {
  const topology::Server* const own = own_entry(site);
  return own != nullptr && topology::has_role(*own, topology::Role::kLb);
}

bool Controller::only_balances(const topology::Site& site) const {
  const topology::Server* const own = own_entry(site);
  return own != nullptr && program::only_balances(site, own->name);
}

// None for visitors while they shall go elsewhere.
std::vector<SiteAddress> Controller::wanted_addresses(const topology::Site& site) const {
  std::vector<SiteAddress> all = addresses_of(site, own_entry(site));
  if (drained_ || (awaited_release_ && !only_balances(site)))
    std::erase_if(all, [](const SiteAddress& each) { return takes_visitors(each.purpose); });
  return all;
}

std::string Controller::listen_problem() const {
  std::string problem;
  const bool some_web = std::ranges::any_of(listeners_, [](const ListenerState& each) {
    return each.purpose == Purpose::kWeb && !each.bound.empty();
  });
  for (const ListenerState& each : listeners_) {
    const bool spare = some_web && each.purpose != Purpose::kHop;
    if (each.error == 0 || (spare && is_absence(each.error))) continue;
    problem += fmt::format("error: cannot listen on {}: {}\n", each.requested, ::strerrordesc_np(each.error));
    if (const std::string hint = hint_of(each.error); !hint.empty()) problem += "  = " + hint + "\n";
  }
  return problem;
}

void Controller::drop_addresses(const topology::Site& site) {
  const std::vector<SiteAddress> wanted = wanted_addresses(site);
  for (const ListenerState& each : std::vector(listeners_)) {
    const SiteAddress address{.purpose = each.purpose, .address = each.requested};
    if (std::ranges::find(wanted, address) != wanted.end()) continue;
    given_up_ = reactor_.now();
    Unlisten record{.purpose = each.purpose};
    (void)record.requested.set(each.requested);
    tell_supervisor(record);
    std::erase_if(listeners_, [&](const ListenerState& other) {
      return other.purpose == each.purpose && other.requested == each.requested;
    });
  }
}

// Where the secrets could not be read, each one that the site names is an error.
config::Inputs Controller::inputs_with(const HandedSecrets& secrets) const {
  Result<std::string> packed = secrets.error != 0 || !secrets.packed
                                   ? fail_system("secrets", secrets.error != 0 ? secrets.error : ENOENT)
                                   : read_text_descriptor(secrets.packed.get(), kPackedSecretsBytesMax);
  if (packed) return inputs_with_packed(*std::move(packed));
  config::Inputs inputs = config::real_inputs();
  inputs.secret = [error = packed.error()](const std::string&) -> Result<std::string> {
    return std::unexpected(error);
  };
  return inputs;
}

void Controller::accept(std::shared_ptr<const topology::Site> site, std::string text,
                        const HandedSecrets& secrets) {
  site_ = std::move(site);
  site_text_ = std::move(text);
  ++version_;
  if (const Result<Descriptor> kept = make_text_descriptor(site_text_)) {
    if (secrets.packed) tell_supervisor(Secrets{}, secrets.packed.get());
    Site record{
        .version = version_, .applied = applied_, .bytes = site_text_.size(), .path = welcome_.site_path};
    tell_supervisor(record, kept->get());
  }
  log_.info("the site file is accepted", {{"version", static_cast<int64_t>(version_)}});
  configure_logs();
  backups_.site_changed();
  if (version_ == 1) scope_.spawn(serve_without_app());
  if (!complete_) return;
  want_member();
  configure_app();
  tell_worker_everything();
}

void Controller::want_member() { tell_supervisor(MemberWanted{.wanted = site_->servers.size() > 1}); }

void Controller::configure_logs() {
  const topology::LogsTable& logs = site_->logs;
  log_keeper_.set(folders_.log, {.file_bytes_max = logs.file_bytes_max,
                                 .age_max = logs.age_max,
                                 .total_bytes_max = logs.total_bytes_max});
}

// What the controller before us had accepted; the file on disk may be wrong by now.
void Controller::restore(const Site& record, const Descriptor& text) {
  Result<std::string> read = read_text_descriptor(text.get(), kSiteBytesMax);
  topology::LoadOptions options;
  options.look_at_folders = false;
  options.inputs = inputs_with(std::exchange(secrets_, {}));
  options.root = release_root(folders_.state, releases_);
  topology::LoadedSite loaded;
  if (read) loaded = load_here(*read, std::string(record.path.view()), options);
  if (!loaded.site) {
    log_.error("the accepted site cannot be read again; the file is read anew");
    tell_supervisor(ReadSite{});
    return;
  }
  site_ = loaded.site;
  site_text_ = std::move(*read);
  version_ = record.version;
  applied_ = record.applied;
  configure_logs();
}

// Said once, when requests can be answered for the first time.
void Controller::consider_serving() {
  if (serving_ || !site_ || worker_site_ != version_) return;
  const bool balances_only = only_balances(*site_);
  if (awaited_release_ && !balances_only) return;
  const bool up = std::ranges::any_of(lifecycle_.slots(), [](const app::Lifecycle::Slot& place) {
    return place.current && place.current->phase == app::MemberPhase::kUp;
  });
  const bool has_app = !site_->app.run.empty() && !awaits_release() && !runs_without_app() && !balances_only;
  if (!up && has_app) return;
  serving_ = true;
  backups_.start_schedule();
  tell_supervisor(Serving{});
}

// Twice the time that an instance may take, and none has come.
Task<void> Controller::serve_without_app() {
  co_await sleep(reactor_, 2 * site_->app.start_timeout);
  if (!serving_ && worker_site_ == version_) tell_supervisor(Serving{.without_app = 1});
}

}  // namespace terrace::program
