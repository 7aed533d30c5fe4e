// The member's part about who this server is, and where the others reach it.

#include <fmt/format.h>

#include "program/member.h"
#include "program/version.h"

namespace terrace::program {
namespace {

constexpr std::chrono::seconds kListenRetry{1};

}  // namespace

// From the disk; kNotFound when this server is no member.
Result<void> Member::take_identity() {
  Result<MemberIdentity> identity = read_member_identity(folders_);
  if (!identity) return std::unexpected(identity.error());
  Result<certificates::Folder> files = certificates::Folder::open(cluster_folder(folders_));
  if (!files) return std::unexpected(files.error());
  Result<certificates::Folder::Own> own = files->own();
  if (!own) return std::unexpected(own.error());
  Result<certificates::Bundle> trust = files->trust();
  if (!trust) return std::unexpected(trust.error());
  files_ = *std::move(files);
  own_ = *std::move(own);
  trust_ = *std::move(trust);
  // One that nobody trusts was left by a founding that did not come to its end.
  if (Result<certificates::Authority> authority = files_->authority();
      authority && trust_->trusts(authority->fingerprint()))
    authority_ = *std::move(authority);
  if (const auto next = certificates::Folder::open(next_folder(folders_))) {
    if (Result<certificates::Authority> authority = next->authority())
      next_authority_ = *std::move(authority);
  }
  if (Result<void> used = use_credentials(); !used) return used;
  identity_ = *std::move(identity);
  return {};
}

// For connections from now on; those of revoked servers end.
Result<void> Member::use_credentials() {
  const auto verifier = certificates::Verifier::of_site(*trust_, revocations_, reactor_.clock());
  if (!verifier) return std::unexpected(verifier.error());
  net::TlsContext::Options options{.side = net::TlsContext::Side::kServer,
                                   .certificates_pem = own_->certificates_pem,
                                   .key_pem = own_->key_pem,
                                   .peer_certificate_optional = true,
                                   .verifier = *verifier,
                                   .protocol = cluster::kChannelProtocol};
  const auto listening = net::TlsContext::make(options);
  options.side = net::TlsContext::Side::kClient;
  options.peer_certificate_optional = false;
  const auto asking = net::TlsContext::make(options);
  options.certificates_pem.clear();
  options.key_pem.clear();
  const auto unnamed = net::TlsContext::make(options);
  if (!listening) return std::unexpected(listening.error());
  if (!asking) return std::unexpected(asking.error());
  if (!unnamed) return std::unexpected(unnamed.error());
  credentials_ = {
      .listening = *listening, .asking = *asking, .server = own_->identity.server, .program = kVersion};
  stranger_ = {.listening = {}, .asking = *unnamed, .server = {}, .program = kVersion};
  channel_.use(credentials_);
  worker_has_news();  // of authorities and revocations
  return {};
}

const topology::Server* Member::own_entry() const {
  return site_ && identity_ ? find_server(*site_, identity_->server) : nullptr;
}

// At the address of our entry, also when that changes. A server that was taken out of the
// file stays where it is, to hear why.
Task<void> Member::keep_listening() {
  for (;;) {
    const topology::Server* own = own_entry();
    const std::string wanted = own != nullptr ? channel_address(*site_, *own) : listening_;
    Duration wait = std::chrono::hours(1);
    if (wanted == listening_) listen_problem_.clear();
    if (wanted != listening_) {
      const Result<net::Address> address = net::Address::parse(wanted);
      Result<void> listens = address ? Result<void>() : std::unexpected(address.error());
      if (address) listens = co_await channel_.listen(*address);
      const std::string problem = listens ? "" : fmt::format("{}: {}", wanted, describe(listens.error()));
      if (listens) listening_ = wanted;
      if (std::exchange(listen_problem_, problem) != problem && !problem.empty())
        log_.error("the other servers cannot reach this one", {{"why", problem}});
      if (listens) log_.info("listening for the other servers", {{"address", wanted}});
      if (!listens) wait = kListenRetry;
    }
    co_await address_changed_.wait(wait);
  }
}

}  // namespace terrace::program
