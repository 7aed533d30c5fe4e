// The member's part about the traffic between servers: the certificate that the worker shows
// to the workers of other servers, whom the worker lets in, and the secret that sticky
// sessions are signed with.
//
// The certificate names the same server and the same roles as the server's own, and is good
// for nothing else than traffic (certificates::Use). Its key is made anew with each one: a key
// that was read out of a worker's memory ends with its certificate. Both lie in
// <state>/cluster/traffic, so that a server that starts alone meets the others with them.

#include <fmt/format.h>

#include "base/random.h"
#include "certificates/renewal.h"
#include "program/member.h"
#include "program/text_descriptor.h"
#include "program/traffic_credentials.h"

namespace terrace::program {
namespace {

// While the worker does not take what it is told.
constexpr Duration kWorkerRetry = std::chrono::seconds(1);
constexpr Duration kLook = std::chrono::hours(1);
// While the certificate is not what it should be, or nobody signs one.
constexpr Duration kRetry = std::chrono::seconds(1);
constexpr Duration kRetryMax = std::chrono::seconds(5);
constexpr Duration kOutdatedPauseMax = std::chrono::minutes(1);

std::string traffic_folder(const Folders& folders) { return cluster_folder(folders) + "/traffic"; }

}  // namespace

// ---- the certificate

// From the disk; one of another membership than ours counts for nothing.
void Member::take_traffic() {
  Result<certificates::Folder> files = certificates::Folder::open(traffic_folder(folders_));
  if (!files)
    return log_.error("no folder for the certificate for traffic", {{"error", describe(files.error())}});
  traffic_files_ = *std::move(files);
  Result<certificates::Folder::Own> own = traffic_files_->own();
  if (!own) return;
  const certificates::Identity& identity = own->identity;
  if (identity.site == identity_->site && identity.server == identity_->server &&
      identity.use == certificates::Use::kTraffic)
    traffic_ = *std::move(own);
}

Task<void> Member::keep_traffic() {
  Duration wait = traffic_ ? certificates::renew_after_start(traffic_->identity, wall()) : Duration::zero();
  Duration pause = kRetry;
  std::string said;
  for (;;) {
    const Time due = reactor_.now() + wait;
    while (reactor_.now() < due && !traffic_is_outdated())
      co_await renew_traffic_now_.wait(due - reactor_.now());
    const std::string problem = co_await renew_traffic();
    if (problem.empty()) {
      wait = certificates::renew_after(traffic_->identity, reactor_.random());
      log_.info("this server has a new certificate for traffic", {{"serial", traffic_->identity.serial}});
    } else {
      if (traffic_) wait = certificates::retry_after(traffic_->identity, reactor_.random());
      if (said != problem)
        log_.warning("there is no new certificate for the traffic between servers; it is tried again",
                     {{"why", problem}});
    }
    said = problem;
    // Whoever signs may not know yet what we know; it must not sign without end.
    const bool outdated = traffic_is_outdated();
    if (outdated) co_await sleep(reactor_, pause);
    pause = !outdated ? kRetry : std::min(2 * pause, problem.empty() ? kOutdatedPauseMax : kRetryMax);
  }
}

bool Member::traffic_is_outdated() const {
  if (!traffic_) return true;
  const certificates::Identity& identity = traffic_->identity;
  const auto signer = certificates::signer_of(traffic_->certificates_pem);
  const bool signing = authority_value_ && authority_value_->phase == RotationPhase::kSigning;
  return wall() >= identity.expires || has_other_roles(identity) || revocations_.contains(identity) ||
         !signer || !trust_->trusts(*signer) || (signing && signer->print() != authority_value_->next);
}

std::string Member::traffic_signer() const {
  const auto signer = traffic_ ? certificates::signer_of(traffic_->certificates_pem) : std::nullopt;
  return signer ? signer->print() : "";
}

// What the new one says is not taken on trust: a worker that refuses it would keep the one before.
Task<std::string> Member::renew_traffic() {
  if (!traffic_files_) co_return "its folder cannot be opened";
  const Result<certificates::PrivateKey> key = certificates::PrivateKey::make();
  const Result<std::string> request = key ? key->request_pem() : std::unexpected(key.error());
  if (!request) co_return describe(request.error());
  std::string certificate;
  const std::string problem = co_await obtain(*request, certificates::Use::kTraffic, certificate);
  if (certificate.empty()) co_return problem;
  const Result<certificates::Identity> identity = certificates::read_identity_pem(certificate);
  if (!identity) co_return describe(identity.error());
  if (identity->use != certificates::Use::kTraffic) co_return "it was given one for another use";
  if (const Result<void> written = traffic_files_->write_pair(certificate, *key); !written)
    co_return describe(written.error());
  Result<certificates::Folder::Own> own = traffic_files_->own();
  if (!own) co_return describe(own.error());
  traffic_ = *std::move(own);
  worker_has_news();
  scope_.spawn(report_trust());
  co_return "";
}

// Both, as the same things make them outdated.
void Member::look_at_certificates() {
  renew_now_.ring();
  renew_traffic_now_.ring();
}

// ---- the worker

void Member::take_worker(Descriptor channel) {
  worker_ = std::move(channel);
  worker_has_news();
}

void Member::worker_has_news() {
  worker_told_ = false;
  worker_news_.ring();
}

Task<void> Member::keep_worker_told() {
  for (;;) {
    if (!worker_told_) worker_told_ = tell_worker();
    co_await worker_news_.wait(worker_told_ ? kLook : kWorkerRetry);
  }
}

// False: it has to be said again. Before the last copy is read nothing is said, as the
// revocations are not known.
bool Member::tell_worker() {
  if (!worker_ || !traffic_ || !shared_known_) return true;
  const TrafficIdentity identity{.certificates_pem = traffic_->certificates_pem,
                                 .key_pem = traffic_->key_pem,
                                 .trust_pem = trust_->pem(),
                                 .revocations = revocations_,
                                 .server = identity_->server,
                                 .sticky_secret = sticky_secret_};
  std::string text = to_text(identity);
  const Result<Descriptor> memory = make_text_descriptor(text);
  ::explicit_bzero(text.data(), text.size());
  const Result<void> sent = memory ? send_record(worker_.get(), TrafficCredentials{}, memory->get())
                                   : std::unexpected(memory.error());
  if (sent) return true;
  if (sent.error().code == Code::kClosed) worker_.reset();  // its successor comes with another channel
  if (sent.error().code != Code::kClosed && sent.error().code != Code::kWouldBlock)
    log_.error("the worker cannot be told whom it may trust", {{"error", describe(sent.error())}});
  return !worker_;
}

// ---- sticky sessions

void Member::take_sticky(const std::string& text) {
  Result<std::string> secret = parse_sticky(text);
  if (!secret) return log_.error("the secret of sticky sessions cannot be read");
  if (*secret == sticky_secret_) return;
  sticky_secret_ = *std::move(secret);
  worker_has_news();
}

// By the first that sees that there is none.
Task<void> Member::make_sticky_secret() {
  if (!sticky_secret_.empty()) co_return;
  const std::string secret = sticky_json(random_secret(kStickySecretBytes));
  const cluster::Committed done = co_await state_->put(std::string(kStickyKey), secret, 0, soon());
  (void)done;  // another one was first, or keep_authority() tries again
}

}  // namespace terrace::program
