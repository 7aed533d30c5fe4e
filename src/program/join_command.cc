// `terrace join`: this machine becomes a server of a site that runs elsewhere.
//
// The key is made and kept first, identity.json is written last: after a power cut in
// between the same command goes on, as the token is good for that key until it expires.

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "base/file.h"
#include "certificates/folder.h"
#include "certificates/token.h"
#include "cluster/channel.h"
#include "cluster/state_json.h"
#include "program/commands.h"
#include "program/json_value.h"
#include "program/member_client.h"
#include "program/member_identity.h"
#include "program/member_talk.h"
#include "program/output.h"
#include "program/privileges.h"
#include "program/secrets.h"
#include "program/site_folders.h"
#include "program/site_path.h"
#include "program/table.h"
#include "program/version.h"
#include "topology/load.h"

namespace terrace::program {
namespace {

using Json = nlohmann::json;

constexpr std::chrono::seconds kJoinTimeout{20};
constexpr size_t kSiteBytesMax = 1 << 20;

struct Joining {
  certificates::Token token;
  net::Address address;
  std::string address_text;
  std::string site_path;
  Folders folders;
  User cluster;  // whose files the member's are
};

// As the member's user from here on, so that its files are its own from the first byte.
class AsMember {
 public:
  explicit AsMember(const User& user) : root_(::geteuid() == 0 && user.uid != 0) {
    if (root_) ok_ = ::setegid(user.gid) == 0 && ::seteuid(user.uid) == 0;
  }
  ~AsMember() {
    if (root_ && (::seteuid(0) != 0 || ::setegid(0) != 0)) ::_exit(1);
  }
  AsMember(const AsMember&) = delete;
  AsMember& operator=(const AsMember&) = delete;
  bool ok() const { return ok_; }

 private:
  bool root_;
  bool ok_ = true;
};

struct Asked {
  std::string request;
  Result<Reply> reply = fail(Code::kTimeout, "join");
  bool done = false;
};

// `made_by`: the address in the token. Any server of the site has a certificate of the
// authority; one that took that address has not the certificate for it, and gets no secret.
Task<void> ask(Reactor& reactor, cluster::Credentials credentials, net::Address address, net::Ip made_by,
               Asked& asked) {
  cluster::Call call(reactor);
  const Time deadline = reactor.now() + kJoinTimeout;
  Result<void> going = co_await call.open(std::move(credentials), "", address, deadline);
  if (going && !certificates::names_address(call.channel().stream().peer_certificate(), made_by))
    going = fail(Code::kInvalid, "join", "it is another server than the one that the token names");
  if (going) going = co_await call.channel().send_message(asked.request);
  if (going) {
    asked.reply = co_await receive_reply(call.channel(), kSiteBytesMax, nullptr, deadline);
  } else {
    asked.reply = std::unexpected(going.error());
  }
  asked.done = true;
}

// Without a certificate; of the other side nothing is known but the fingerprint of its
// authority, which is in the token.
Result<Reply> ask_to_join(const Joining& joining, const std::string& request_pem) {
  const SystemClock clock;
  Result<std::unique_ptr<Reactor>> reactor = Reactor::create(clock, {});
  if (!reactor) return std::unexpected(reactor.error());
  const auto context =
      net::TlsContext::make({.side = net::TlsContext::Side::kClient,
                             .certificates_pem = {},
                             .key_pem = {},
                             .verifier = certificates::Verifier::pinned(joining.token.authority, clock),
                             .protocol = cluster::kChannelProtocol});
  if (!context) return std::unexpected(context.error());
  const Json request = {{"request", "join"},
                        {"token", joining.token.id_hex()},
                        {"secret", joining.token.secret_hex()},
                        {"certificate_request", request_pem}};
  Asked asked{.request = request.dump()};
  Scope scope;
  scope.spawn(ask(**reactor, {.listening = {}, .asking = *context, .server = {}, .program = kVersion},
                  joining.address, joining.token.address, asked));
  (*reactor)->run_until(asked.done, kJoinTimeout + std::chrono::seconds(5));
  // What waits has deadlines of its own, all before that one.
  ASSERT(asked.done);
  return std::move(asked.reply);
}

// Without identity.json nothing counts but the key. A founding that did not come to its end,
// and a membership that was revoked, leave a state and an authority behind that must not count
// beside the new identity.
Result<void> forget_before(const Folders& folders) {
  std::error_code problem;
  std::filesystem::remove(identity_file(folders), problem);
  if (problem) return fail(Code::kSystem, "identity.json", "it cannot be removed");
  for (const auto& each : std::filesystem::directory_iterator(cluster_folder(folders), problem)) {
    if (each.path().filename() != "server.key") std::filesystem::remove_all(each.path(), problem);
    if (problem) break;
  }
  if (problem) return fail(Code::kSystem, "cluster", "what was there before cannot be removed");
  return {};
}

// Those of a site that this machine served before have the numbers of this one's.
Result<void> set_releases_aside(const Folders& folders) {
  const std::string releases = folders.state + "/releases.json";
  std::error_code problem;
  std::filesystem::rename(releases, releases + ".before-join", problem);
  if (problem && problem != std::errc::no_such_file_or_directory)
    return fail(Code::kSystem, "releases.json", "it cannot be set aside");
  return {};
}

// The answer of the site, on disk; identity.json, which makes it count, is last.
Result<MemberIdentity> keep(const Joining& joining, const certificates::Folder& files, const Json& answer,
                            const std::string& site_text) {
  const auto trust = certificates::Bundle::parse(value_of<std::string>(answer, "trust"));
  const auto placement = cluster::parse_placement(value_of<std::string>(answer, "placement"));
  if (!trust) return std::unexpected(trust.error());
  if (!placement) return std::unexpected(placement.error());
  MemberIdentity identity{.site = value_of<std::string>(answer, "site"),
                          .server = value_of<std::string>(answer, "server"),
                          .placement = *placement};
  if (trust->site() != identity.site || !trust->trusts(joining.token.authority))
    return fail(Code::kInvalid, "join", "the answer is of another site than the token");
  const size_t slash = joining.site_path.rfind('/');
  if (const Result<void> made = make_folders(joining.site_path.substr(0, slash)); !made)
    return std::unexpected(made.error());
  const Result<std::string> before = read_file(joining.site_path, kSiteBytesMax);
  if (!before || *before != site_text) {
    if (const Result<void> written = write_file(joining.site_path, site_text); !written)
      return std::unexpected(written.error());
  }
  if (!value_of<bool>(answer, "again") || ::access(identity_file(joining.folders).c_str(), F_OK) != 0) {
    if (const Result<void> aside = set_releases_aside(joining.folders); !aside)
      return std::unexpected(aside.error());
  }
  const AsMember member(joining.cluster);
  if (!member.ok()) return fail_system("seteuid");
  if (!value_of<bool>(answer, "again") || !read_member_identity(joining.folders)) {
    if (const Result<void> forgot = forget_before(joining.folders); !forgot)
      return std::unexpected(forgot.error());
  }
  if (const auto done = files.write_certificate(value_of<std::string>(answer, "certificate")); !done)
    return std::unexpected(done.error());
  if (const auto done = files.write_trust(*trust); !done) return std::unexpected(done.error());
  if (const auto done = write_member_identity(joining.folders, identity); !done)
    return std::unexpected(done.error());
  return identity;
}

Task<void> ask_secrets(Reactor& reactor, cluster::Credentials credentials, std::string server,
                       net::Address address, Asked& asked) {
  cluster::Call call(reactor);
  const Time deadline = reactor.now() + kJoinTimeout;
  Result<void> going = co_await call.open(std::move(credentials), std::move(server), address, deadline);
  if (going) going = co_await call.channel().send_message(asked.request);
  if (going) {
    asked.reply = co_await receive_reply(call.channel(), kPackedSecretsBytesMax, nullptr, deadline);
  } else {
    asked.reply = std::unexpected(going.error());
  }
  asked.done = true;
}

// With the certificate that this server has now.
Result<Reply> secrets_of(const topology::Site& site, const topology::Server& server,
                         const certificates::Folder& files) {
  const SystemClock clock;
  const Result<std::unique_ptr<Reactor>> reactor = Reactor::create(clock, {});
  const auto own = files.own();
  const auto trust = files.trust();
  const Result<net::Address> address = net::Address::parse(channel_address(site, server));
  if (!reactor || !own || !trust || !address)
    return fail(Code::kInvalid, "secrets", "its address or our files");
  const auto verifier = certificates::Verifier::of_site(*trust, {}, clock);
  if (!verifier) return std::unexpected(verifier.error());
  const auto context = net::TlsContext::make({.side = net::TlsContext::Side::kClient,
                                              .certificates_pem = own->certificates_pem,
                                              .key_pem = own->key_pem,
                                              .verifier = *verifier,
                                              .protocol = cluster::kChannelProtocol});
  if (!context) return std::unexpected(context.error());
  Asked asked{.request = R"({"request":"secrets"})"};
  Scope scope;
  scope.spawn(ask_secrets(
      **reactor, {.listening = {}, .asking = *context, .server = own->identity.server, .program = kVersion},
      server.name, *address, asked));
  (*reactor)->run_until(asked.done, kJoinTimeout + std::chrono::seconds(5));
  ASSERT(asked.done);
  return std::move(asked.reply);
}

// What the site file needs to be read here. Later ones come by themselves (member_secrets.cc).
// Returns what is wrong, or "".
std::string fetch_secrets(const Joining& joining, const MemberIdentity& identity) {
  const Result<std::string> text = read_file(joining.site_path, kSiteBytesMax);
  topology::LoadOptions options;
  options.resolve = [](std::string_view) { return false; };
  options.look_at_folders = false;
  options.wants_something_to_serve = false;
  if (!text) return joining.site_path + ": " + describe(text.error());
  const topology::LoadedSite loaded = topology::load_site_text(*text, joining.site_path, options);
  const topology::Server* own = loaded.site ? find_server(*loaded.site, identity.server) : nullptr;
  if (own == nullptr) return "the site file does not name this server";
  if (std::ranges::find(own->roles, topology::Role::kApp) == own->roles.end()) return "";
  std::string problem = "no other server runs the application";
  for (const topology::Server& server : loaded.site->servers) {
    if (server.name == identity.server) continue;
    Result<Reply> reply = fail(Code::kSystem, "secrets");
    {
      const AsMember member(joining.cluster);
      const auto files = certificates::Folder::open(cluster_folder(joining.folders));
      if (member.ok() && files) reply = secrets_of(*loaded.site, server, *files);
    }
    problem = !reply ? describe(reply.error()) : is_good(reply->message) ? "" : error_in(reply->message);
    if (!problem.empty()) continue;
    for (const auto& [name, value] : unpack_secrets(reply->data)) {
      const Result<void> kept = SecretFolder(secrets_folder(joining.folders)).set(name, value);
      if (!kept) return fmt::format("the secret {} cannot be kept: {}", name, describe(kept.error()));
    }
    const AsMember member(joining.cluster);
    const Json answer = Json::parse(reply->message, nullptr, false);
    (void)write_file(secret_versions_file(joining.folders), value_of<std::string>(answer, "versions"), 0600);
    return "";
  }
  return problem;
}

std::string site_path_of(const CommandLine& line) {
  if (!line.file.empty()) {
    char absolute[4096];
    if (line.file.starts_with('/')) return line.file;
    return ::getcwd(absolute, sizeof absolute) != nullptr ? std::string(absolute) + "/" + line.file
                                                          : line.file;
  }
  if (::geteuid() == 0) return kSystemSiteFile;
  char folder[4096];
  return ::getcwd(folder, sizeof folder) != nullptr ? std::string(folder) + "/" + kSiteFileName
                                                    : kSiteFileName;
}

// Why it cannot begin, or "".
std::string prepare(const CommandLine& line, Joining& joining) {
  const Result<certificates::Token> token = certificates::Token::parse(line.token);
  if (!token) return std::string("the token: ") + token.error().text;
  joining.token = *token;
  char ip[64];
  const std::string named{token->address.print(ip)};
  joining.address_text = !line.address.empty()    ? line.address
                         : token->address.is_v4() ? fmt::format("{}:{}", named, token->port)
                                                  : fmt::format("[{}]:{}", named, token->port);
  if (joining.address_text.find(':') == std::string::npos)
    joining.address_text += fmt::format(":{}", token->port);
  const Result<net::Address> address = net::Address::parse(joining.address_text);
  if (!address)
    return fmt::format("`{}` is no address: write 10.0.0.11 or 10.0.0.11:7400", joining.address_text);
  joining.address = *address;
  joining.site_path = site_path_of(line);
  const bool root = ::geteuid() == 0;
  joining.folders = folders_of(joining.site_path, root);
  const Log log("join");
  const User own = root ? system_user(kOwnUser, kOwnNumber, log) : current_user();
  joining.cluster = root ? system_user(kClusterUser, kClusterNumber, log) : own;
  const Result<void> made = make_site_folders(joining.folders, own, joining.cluster);
  return made ? "" : joining.folders.state + ": " + describe(made.error());
}

std::string why_not(const Error& error, const Joining& joining) {
  return fmt::format("{} cannot be asked: {}", joining.address_text, describe(error));
}

void say_joined(const CommandLine& line, const Joining& joining, const MemberIdentity& identity,
                bool before) {
  if (line.json) {
    const Json json = {
        {"ok", true}, {"server", identity.server}, {"site", identity.site}, {"file", joining.site_path}};
    return print(json.dump() + "\n");
  }
  print(fmt::format("this machine {} server {} of the site; its file is {}\n",
                    before ? "is already" : "is now", identity.server, joining.site_path));
  print(joining.site_path == kSystemSiteFile
            ? "it serves with `systemctl start terrace`, or with `terrace up`\n"
            : fmt::format("it serves with `terrace up --file {}`\n", joining.site_path));
}

int end_joined(const CommandLine& line, const Joining& joining, const MemberIdentity& identity, bool before) {
  if (const std::string problem = fetch_secrets(joining, identity); !problem.empty())
    return complain(
        fmt::format("this machine has joined as {}, but has none of the secrets yet: {}; run it again",
                    identity.server, printable(problem)),
        line.json, kExitFailure);
  say_joined(line, joining, identity, before);
  return kExitFine;
}

}  // namespace

int run_join(const CommandLine& line) {
  Joining joining;
  if (const std::string problem = prepare(line, joining); !problem.empty())
    return complain(problem, line.json, kExitCannotRead);
  // One that does not run may have been revoked, or its certificate have ended: the site says.
  if (const Result<MemberIdentity> identity = read_member_identity(joining.folders);
      identity && find_member(joining.site_path)) {
    return end_joined(line, joining, *identity, true);
  }
  std::optional<certificates::Folder> files;
  Result<std::string> request = fail(Code::kSystem, "key");
  {
    const AsMember member(joining.cluster);
    Result<certificates::Folder> folder = certificates::Folder::open(cluster_folder(joining.folders));
    const Result<certificates::PrivateKey> key =
        folder && member.ok() ? folder->key() : fail(Code::kSystem, "key", "it cannot be made");
    if (key) request = key->request_pem();
    if (folder) files = *std::move(folder);
  }
  if (!files || !request)
    return complain("no key can be made in " + cluster_folder(joining.folders), line.json, kExitFailure);
  const Result<Reply> reply = ask_to_join(joining, *request);
  if (!reply) return complain(why_not(reply.error(), joining), line.json, kExitFailure);
  if (!is_good(reply->message)) return complain(printable(error_in(reply->message)), line.json, kExitFailure);
  const Result<MemberIdentity> identity =
      keep(joining, *files, Json::parse(reply->message, nullptr, false), reply->data);
  if (!identity)
    return complain("the answer cannot be kept: " + describe(identity.error()), line.json, kExitFailure);
  return end_joined(line, joining, *identity, false);
}

}  // namespace terrace::program
