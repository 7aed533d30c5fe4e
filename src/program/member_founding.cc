// The member's part about founding: the site gets an authority of its own, its first
// member, and a state that servers share. Everything is on disk before identity.json is; a
// power cut before leaves nothing that counts.

#include <algorithm>

#include "base/random.h"
#include "cluster/journal.h"
#include "program/member.h"
#include "program/own_server.h"

namespace terrace::program {
namespace {

constexpr std::chrono::seconds kLookTimeout{2};
constexpr int kSiteIdBytes = 8;

// Lets nobody in, but notes whether somebody was there who shows a certificate of a site.
class Lookout final : public net::PeerVerifier {
 public:
  std::optional<net::TlsRefusal> verify(const net::PeerShown& shown) const override {
    if (!shown.certificates_der.empty())
      seen_ = seen_ || certificates::read_identity(shown.certificates_der[0]).has_value();
    return net::TlsRefusal{.alert = net::TlsAlert::kUnknownAuthority, .text = "only looked at"};
  }
  bool seen() const { return seen_; }

 private:
  mutable bool seen_ = false;  // one connection, one reactor
};

}  // namespace

// Why it does not, or "" when it has.
Task<std::string> Member::found() {
  const auto own = own_server(*site_, std::string(welcome_.server.view()), own_addresses());
  if (!own) co_return own.error();
  std::string obstacle = founding_obstacle(*site_, *own, folders_);
  if (!obstacle.empty()) co_return obstacle;
  const std::string& name = *own;
  const bool others = co_await others_are_members(name);
  if (others)
    co_return name +
        " does not found the site: another server of it is a member already; run `terrace token " + name +
        "` there, and `terrace join` with its answer here";
  const Result<void> done = found_now(name);
  if (!done) co_return "the site's authority cannot be made: " + describe(done.error());
  log_.info("made the site's authority: further servers join with `terrace token`", {{"server", name}});
  co_return "";
}

// The other servers may run without having joined. One that shows a certificate has.
Task<bool> Member::others_are_members(std::string own) {
  std::list<bool> seen;
  Scope looks;
  for (const topology::Server& server : site_->servers) {
    if (server.name == own) continue;
    seen.push_back(false);
    looks.spawn(look_for_member(channel_address(*site_, server), seen.back()));
  }
  co_await looks.join();
  co_return std::ranges::find(seen, true) != seen.end();
}

Task<void> Member::look_for_member(std::string text, bool& found) {
  const Result<net::Address> address = net::Address::parse(text);
  const auto lookout = std::make_shared<Lookout>();
  const auto context = net::TlsContext::make({.side = net::TlsContext::Side::kClient,
                                              .certificates_pem = {},
                                              .key_pem = {},
                                              .verifier = lookout,
                                              .protocol = cluster::kChannelProtocol});
  if (!address || !context) co_return;
  const Time deadline = reactor_.now() + kLookTimeout;
  net::Stream stream;
  const Result<void> connected = co_await stream.connect(reactor_, *address, deadline);
  if (!connected) co_return;
  const Result<void> refused = co_await stream.start_tls(*context, "", deadline);
  found = !refused && lookout->seen();
}

Result<void> Member::found_now(const std::string& server) {
  Result<certificates::Folder> files = certificates::Folder::open(cluster_folder(folders_));
  if (!files) return std::unexpected(files.error());
  Result<certificates::Authority> authority =
      certificates::Authority::make(random_secret(kSiteIdBytes), wall());
  if (!authority) return std::unexpected(authority.error());
  const Result<certificates::PrivateKey> key = files->key();
  const Result<std::string> text = key ? key->request_pem() : std::unexpected(key.error());
  const auto request = text ? certificates::Request::parse(*text) : std::unexpected(text.error());
  const auto trust = certificates::Bundle::parse(authority->certificate_pem());
  if (!request) return std::unexpected(request.error());
  if (!trust) return std::unexpected(trust.error());
  authority_ = *std::move(authority);
  IssuedCertificate issued;
  const Result<std::string> certificate =
      sign(*request, *find_server(*site_, server), certificate_life(), issued);
  if (!certificate) return std::unexpected(certificate.error());

  const ServerValue self{.key = request->key_hash(),
                         .joined = wall(),
                         .certificates = {issued},
                         .trusts = {authority_->fingerprint().print()},
                         .signer = authority_->fingerprint().print()};
  const AuthorityValue value{.bundle = authority_->certificate_pem(), .holders = {server}};
  const SiteValue site{.version = 1, .text = site_text_, .by = "founding", .at = wall()};
  const cluster::Snapshot begin{.version = 1,
                                .entries = {{std::string(kAuthorityKey), to_json(value), 1},
                                            {server_key(server), to_json(self), 1},
                                            {std::string(kSiteKey), to_json(site), 1}}};
  const MemberIdentity identity{
      .site = authority_->site(),
      .server = server,
      .placement = {.generation = 1, .keeper = cluster::Keeper::kCoordinator, .holders = {server}}};
  if (Result<void> done = files->write_authority(*authority_); !done) return done;
  if (Result<void> done = files->write_certificate(*certificate); !done) return done;
  if (Result<void> done = files->write_trust(*trust); !done) return done;
  if (Result<void> done = forget_shared_state(folders_); !done) return done;
  const auto journal = cluster::Journal::create(state_folder(folders_), begin, identity.placement);
  if (!journal) return std::unexpected(journal.error());
  return write_member_identity(folders_, identity);
}

}  // namespace terrace::program
