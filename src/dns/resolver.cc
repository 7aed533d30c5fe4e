#include "dns/resolver.h"

#include <ares.h>
#include <arpa/inet.h>
#include <arpa/nameser.h>
#include <poll.h>
#include <resolv.h>

#include <algorithm>
#include <array>
#include <memory>

#include "net/address.h"

namespace terrace::dns {
namespace {

constexpr int kTries = 3;
constexpr int kInternet = 1;

std::string lower(std::string_view name) {
  std::string out(name);
  std::ranges::transform(out, out.begin(),
                         [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  if (out.ends_with('.')) out.pop_back();
  return out;
}

// As c-ares wants it, with a port; empty when it is no address.
std::string server_text(const std::string& server) {
  if (const Result<net::Ip> ip = net::Ip::parse(server)) return ip->is_v4() ? server : "[" + server + "]";
  const Result<net::Address> address = net::Address::parse(server);
  return address && address->port() != 0 ? server : "";
}

// ---- reading an answer

std::string expanded(const ns_msg& message, const u_char* at) {
  std::array<char, NS_MAXDNAME> name;
  const int size =
      ::ns_name_uncompress(ns_msg_base(message), ns_msg_end(message), at, name.data(), name.size());
  return size < 0 ? "" : lower(name.data());
}

std::string address_text(const ns_rr& record, int family, size_t bytes) {
  std::array<char, INET6_ADDRSTRLEN> text;
  if (ns_rr_rdlen(record) != bytes) return "";
  return ::inet_ntop(family, ns_rr_rdata(record), text.data(), text.size()) == nullptr ? "" : text.data();
}

// Flags, the length of the tag, tag and value (RFC 8659 section 4.1).
std::string caa_text(const ns_rr& record) {
  const std::string_view data(reinterpret_cast<const char*>(ns_rr_rdata(record)), ns_rr_rdlen(record));
  if (data.size() < 2) return "";
  const auto tag_bytes = static_cast<size_t>(static_cast<unsigned char>(data[1]));
  if (data.size() < 2 + tag_bytes) return "";
  return std::to_string(static_cast<unsigned char>(data[0])) + " " + lower(data.substr(2, tag_bytes)) +
         " \"" + std::string(data.substr(2 + tag_bytes)) + "\"";
}

std::string value_of(const ns_rr& record) {
  switch (static_cast<Type>(ns_rr_type(record))) {
    case Type::kA:
      return address_text(record, AF_INET, NS_INADDRSZ);
    case Type::kAaaa:
      return address_text(record, AF_INET6, NS_IN6ADDRSZ);
    case Type::kCaa:
      return caa_text(record);
    default:
      return "";
  }
}

// Takes the records that lead from `name` on, in whatever order they came; returns the
// name at which the chain stops.
std::string read_records(ns_msg& message, const std::string& name, Answer& answer) {
  std::string at = name;
  const int count = ns_msg_count(message, ns_s_an);
  for (bool moved = true; moved && answer.aliases.size() < static_cast<size_t>(kAliasesMax);) {
    moved = false;
    for (int i = 0; i < count && !moved; ++i) {
      ns_rr record;
      if (::ns_parserr(&message, ns_s_an, i, &record) != 0 || lower(ns_rr_name(record)) != at) continue;
      if (static_cast<Type>(ns_rr_type(record)) != Type::kCname) continue;
      at = expanded(message, ns_rr_rdata(record));
      moved = !at.empty();
      if (moved) answer.aliases.push_back(at);
    }
  }
  for (int i = 0; i < count; ++i) {
    ns_rr record;
    if (::ns_parserr(&message, ns_s_an, i, &record) != 0 || lower(ns_rr_name(record)) != at) continue;
    if (static_cast<Type>(ns_rr_type(record)) != answer.question.type) continue;
    if (std::string value = value_of(record); !value.empty()) answer.values.push_back(std::move(value));
  }
  return at;
}

// ---- asking

struct Asked {
  Answer answer;
  std::string name;  // that is asked for now: the question's, or where an alias led
  bool again = false;
};

void failed(Answer& answer, int status) {
  // An alias may have been found before, and then nobody says what is behind it.
  answer.outcome = Outcome::kFailed;
  switch (status) {
    case ARES_ENOTFOUND:
      answer.outcome = Outcome::kNoName;
      return;
    case ARES_ENODATA:
      answer.outcome = Outcome::kNoRecord;
      return;
    case ARES_ESERVFAIL:
      answer.error = "SERVFAIL: the name server could not find out; the zone's own servers may be wrong";
      return;
    case ARES_EREFUSED:
      answer.error = "REFUSED: the name server does not answer us";
      return;
    case ARES_ETIMEOUT:
      answer.error = "the name server did not answer in time";
      return;
    case ARES_ECONNREFUSED:
      answer.error = "no name server can be reached";
      return;
    default:
      answer.error = std::string("no usable answer: ") + ::ares_strerror(status);
  }
}

void take(Asked& asked, const unsigned char* bytes, int size) {
  ns_msg message;
  if (::ns_initparse(bytes, size, &message) != 0) return failed(asked.answer, ARES_EBADRESP);
  const size_t before = asked.answer.aliases.size();
  const std::string at = read_records(message, asked.name, asked.answer);
  std::ranges::sort(asked.answer.values);
  asked.answer.outcome = asked.answer.values.empty() ? Outcome::kNoRecord : Outcome::kFound;
  // An authoritative server leaves it to us to follow an alias out of its zone.
  const size_t now = asked.answer.aliases.size();
  asked.again = asked.answer.values.empty() && now > before && now < static_cast<size_t>(kAliasesMax);
  asked.name = at;
}

void answered(void* argument, int status, int /*timeouts*/, unsigned char* bytes, int size) {
  auto& asked = *static_cast<Asked*>(argument);
  asked.again = false;
  if (status != ARES_SUCCESS) return failed(asked.answer, status);
  take(asked, bytes, size);
}

class Channel {
 public:
  Channel() = default;
  ~Channel() {
    if (channel_ != nullptr) ::ares_destroy(channel_);
  }
  Channel(const Channel&) = delete;
  Channel& operator=(const Channel&) = delete;

  Result<void> open(const ResolverOptions& options) {
    ares_options chosen{};
    chosen.timeout = static_cast<int>(options.patience.count());
    chosen.tries = kTries;
    // Without names of our own domain, and with SERVFAIL told as such; EDNS, so that few
    // answers need TCP.
    chosen.flags = ARES_FLAG_NOSEARCH | ARES_FLAG_NOALIASES | ARES_FLAG_NOCHECKRESP | ARES_FLAG_EDNS;
    const int mask = ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_FLAGS;
    if (::ares_init_options(&channel_, &chosen, mask) != ARES_SUCCESS)
      return fail(Code::kUnavailable, "resolver", "cannot be set up");
    if (options.server.empty()) return {};
    const std::string server = server_text(options.server);
    if (server.empty() || ::ares_set_servers_ports_csv(channel_, server.c_str()) != ARES_SUCCESS)
      return fail(Code::kInvalid, "resolver", "write an IP address, with :PORT or without");
    return {};
  }

  void ask(Asked& asked) const {
    ::ares_query(channel_, asked.name.c_str(), kInternet, static_cast<int>(asked.answer.question.type),
                 answered, &asked);
  }

  // Until every question has its answer; c-ares ends each by its own time limits.
  void run() const {
    for (;;) {
      std::array<ares_socket_t, ARES_GETSOCK_MAXNUM> sockets{};
      const auto bits = static_cast<unsigned>(::ares_getsock(channel_, sockets.data(), ARES_GETSOCK_MAXNUM));
      std::array<pollfd, ARES_GETSOCK_MAXNUM> waits;
      nfds_t count = 0;
      for (unsigned i = 0; i < ARES_GETSOCK_MAXNUM; ++i) {
        const bool read = ARES_GETSOCK_READABLE(bits, i) != 0;
        const bool write = ARES_GETSOCK_WRITABLE(bits, i) != 0;
        if (!read && !write) break;
        waits[count++] = {.fd = sockets[i],
                          .events = static_cast<short>((read ? POLLIN : 0) | (write ? POLLOUT : 0)),
                          .revents = 0};
      }
      if (count == 0) return;
      timeval limit{};
      timeval* left = ::ares_timeout(channel_, nullptr, &limit);
      const int wait =
          left == nullptr ? 1000 : static_cast<int>(left->tv_sec * 1000 + left->tv_usec / 1000 + 1);
      ::poll(waits.data(), count, wait);
      process(waits, count);
    }
  }

 private:
  void process(const std::array<pollfd, ARES_GETSOCK_MAXNUM>& waits, nfds_t count) const {
    bool any = false;
    for (nfds_t i = 0; i < count; ++i) {
      const bool read = (waits[i].revents & (POLLIN | POLLERR | POLLHUP)) != 0;
      const bool write = (waits[i].revents & (POLLOUT | POLLERR)) != 0;
      any = any || read || write;
      if (read || write)
        ::ares_process_fd(channel_, read ? waits[i].fd : ARES_SOCKET_BAD,
                          write ? waits[i].fd : ARES_SOCKET_BAD);
    }
    if (!any) ::ares_process_fd(channel_, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
  }

  ares_channel channel_ = nullptr;
};

}  // namespace

Result<std::vector<Answer>> ask(const std::vector<Question>& questions, const ResolverOptions& options) {
  ::ares_library_init(ARES_LIB_INIT_ALL);
  std::vector<Asked> all;
  for (const Question& question : questions)
    all.push_back(
        {.answer = {.question = question, .aliases = {}, .values = {}, .error = ""}, .name = question.name});
  {
    Channel channel;
    if (const Result<void> opened = channel.open(options); !opened) return std::unexpected(opened.error());
    for (Asked& asked : all) channel.ask(asked);
    channel.run();
    for (int i = 0; i < kAliasesMax && std::ranges::any_of(all, &Asked::again); ++i) {
      for (Asked& asked : all) {
        if (asked.again) channel.ask(asked);
      }
      channel.run();
    }
  }
  std::vector<Answer> answers;
  for (Asked& asked : all) answers.push_back(std::move(asked.answer));
  return answers;
}

}  // namespace terrace::dns
