#include "topology/lb_fields.h"

#include "topology/forms.h"

namespace terrace::topology {
namespace {

using config::choice;
using config::Field;
using config::Table;

constexpr int64_t kSecond = 1000;
constexpr int64_t kMinute = 60 * kSecond;
constexpr int64_t kHour = 60 * kMinute;

// Of [lb] and of each pool; `as_lb` says what a pool does that says nothing.
std::vector<Field> settings_fields(PoolSettings& pool, bool as_lb) {
  return {
      {.name = "balance",
       .about = "Who gets the next request.",
       .slot = choice(pool.balance,
                      {{"round-robin", "one after the other, by weight"},
                       {"least-connections", "who has the fewest requests at the moment, for its weight"},
                       {"least-latency", "each as often as it answers quickly"},
                       {"ip-hash", "always the same for one address of a client"},
                       {"consistent-hash",
                        "always the same for one value of `hash`, unless that one has far more than its "
                        "share"}}),
       .example = R"("least-connections")",
       .default_words = as_lb ? "as `[lb]` says; `\"round-robin\"` with `tcp` where that is "
                                "`\"consistent-hash\"`"
                              : ""},
      {.name = "hash",
       .about =
           "What `balance` = \"consistent-hash\" looks at: a header, or a cookie. Requests without it go "
           "round.",
       .slot = &pool.hash,
       .form = hash_source(),
       .example = R"("cookie:session")",
       .default_words = as_lb ? "as `[lb]` says" : "none"},
      {.name = "mode",
       .about = "Who serves.",
       .slot = choice(pool.mode, {{"active-active", "all servers that are well"},
                                  {"active-passive",
                                   "the first that is well, in the order of the file; the others "
                                   "stand by"}}),
       .example = R"("active-passive")",
       .default_words = as_lb ? "as `[lb]` says" : ""},
      {.name = "return",
       .about =
           "With `mode` = \"active-passive\": whether an earlier one serves again as soon as it is well. "
           "Otherwise whoever serves does so until it fails.",
       .slot = &pool.returns,
       .example = "false",
       .default_words = as_lb ? "as `[lb]` says" : ""},
      {.name = "check",
       .about = "How the load balancer finds out that a server is well: a path that it asks for, or \"tcp\", "
                "for which a connection is enough.",
       .slot = &pool.check,
       .form = check_target(),
       .example = R"("/up")",
       .default_words = as_lb ? "as `[lb]` says; `\"tcp\"` with `tcp`"
                              : "`app.health` where there is an application, else `\"/\"`"},
      {.name = "check_status",
       .about = "The status that a healthy server answers with, or the first and the last of a range.",
       .slot = &pool.check_status,
       .form = status_range(),
       .example = R"("204")",
       .default_words = as_lb ? "as `[lb]` says" : ""},
  };
}

std::vector<Field> health_fields(LbTable& lb) {
  return {
      {.name = "check_interval",
       .about = "The time between two checks of a server. While one is in doubt it is checked eight times as "
                "often. One that falls silent is found within `check_interval` times `check_fall`.",
       .slot = &lb.check_interval,
       .minimum = 100,
       .maximum = 5 * kMinute,
       .example = R"("1s")"},
      {.name = "check_rise",
       .about = "Good checks in a row until a server that was down is up.",
       .slot = &lb.check_rise,
       .minimum = 1,
       .maximum = 100,
       .example = "3"},
      {.name = "check_fall",
       .about = "Failed checks in a row until a server is down.",
       .slot = &lb.check_fall,
       .minimum = 1,
       .maximum = 100,
       .example = "2"},
      {.name = "slow_start",
       .about = "How long the share of a server grows that was away, until it is its full share.",
       .slot = &lb.slow_start,
       .maximum = kHour,
       .example = R"("30s")"},
      {.name = "eject_failures",
       .about = "Requests in a row that get no whole answer, or errors (5xx) while others answer well, until "
                "a server is ejected for a while. 0: never.",
       .slot = &lb.eject_failures,
       .maximum = 10'000,
       .example = "10"},
      {.name = "eject_latency",
       .about =
           "How many times slower than the others' median a server is when it is ejected for it; never "
           "one that answers within a quarter of a second, nor with `balance` = \"least-latency\", which "
           "sends it less instead. 0: nobody.",
       .slot = &lb.eject_latency,
       .maximum = 1000,
       .example = "20"},
      {.name = "eject_max",
       .about = "Percent of a pool that may be ejected at the same time; the last server never is.",
       .slot = &lb.eject_max,
       .maximum = 100,
       .example = "30"},
      {.name = "eject_time",
       .about = "How long a server is ejected the first time; each time it is twice as long, up to thirty "
                "times this, which is also when it is forgotten.",
       .slot = &lb.eject_time,
       .minimum = kSecond,
       .maximum = kHour,
       .example = R"("30s")"},
  };
}

std::vector<Field> protection_fields(LbTable& lb) {
  return {
      {.name = "retries",
       .about = "Percent of the requests that may be tried again with another server. Only what is safe is: "
                "what was not sent, or what changes nothing when it is done twice.",
       .slot = &lb.retries,
       .maximum = 100,
       .example = "10"},
      {.name = "connect_timeout",
       .about = "How long a connection to a server may take.",
       .slot = &lb.connect_timeout,
       .minimum = 10,
       .maximum = kMinute,
       .example = R"("500ms")"},
      {.name = "try_timeout",
       .about = "How long a server may take until its answer begins.",
       .slot = &lb.try_timeout,
       .minimum = 100,
       .maximum = kHour,
       .example = R"("30s")",
       .default_words = "five seconds more than `app.response_timeout`, and `total_timeout` at most"},
      {.name = "total_timeout",
       .about = "How long a request may take until its answer begins, with the time in the queue and all "
                "tries.",
       .slot = &lb.total_timeout,
       .minimum = 100,
       .maximum = kHour,
       .example = R"("60s")",
       .default_words = "`\"2m\"`, or `try_timeout` where that is longer"},
      {.name = "connections_max",
       .about = "Requests that one server gets at the same time; more wait in the queue.",
       .slot = &lb.connections_max,
       .minimum = 1,
       .maximum = 100'000,
       .example = "200"},
      {.name = "queue",
       .about = "Requests that wait for a server, at most; more are answered with 503.",
       .slot = &lb.queue,
       .maximum = 1'000'000,
       .example = "512"},
      {.name = "queue_timeout",
       .about = "How long a request waits for a server before it is answered with 503.",
       .slot = &lb.queue_timeout,
       .maximum = 10 * kMinute,
       .example = R"("5s")"},
  };
}

std::vector<Field> client_fields(LbTable& lb) {
  return {
      {.name = "client_rate",
       .about = "Requests per second that one client may send; more are answered with 429. A client is an "
                "IPv4 address, or a /64 of IPv6. 0: no limit.",
       .slot = &lb.client_rate,
       .maximum = 1'000'000,
       .example = "50"},
      {.name = "client_burst",
       .about = "Requests that a client may send at once, before `client_rate` counts. 0: as many as "
                "`client_rate`.",
       .slot = &lb.client_burst,
       .maximum = 1'000'000,
       .example = "100"},
      {.name = "client_requests",
       .about = "Requests of one client at the same time; more are answered with 429. 0: no limit.",
       .slot = &lb.client_requests,
       .maximum = 100'000,
       .example = "20"},
      {.name = "sticky",
       .about = "Whether a client stays with its server, by a signed cookie. An application that keeps what "
                "users are doing in its database, or in a cookie of its own, does not need it.",
       .slot = &lb.sticky,
       .example = "true"},
      {.name = "maintenance_page",
       .about = "HTML that visitors see, with the status 503, while no server can answer them: the text "
                "itself, or `\"${file:maintenance.html}\"` for that of a file.",
       .slot = &lb.maintenance_page,
       .form = page(),
       .example = R"("<h1>Back in a minute</h1>")",
       .default_words = "the page for 503"},
      {.name = "proxy_from",
       .about = "Networks of proxies whose connections begin with a PROXY protocol header of version 2. "
                "Without one they are closed.",
       .slot = &lb.proxy_from,
       .form = network(),
       .maximum = 64,
       .example = R"(["10.0.0.0/8"])"},
  };
}

std::vector<Field> backend_fields(LbBackend& target) {
  return {
      {.name = "address",
       .about =
           "Its IP address with a port, where it answers over HTTP/1.1 without encryption, or whatever is "
           "TCP in a pool with `tcp`. Names are not looked up.",
       .slot = &target.address,
       .form = backend(),
       .required = true,
       .example = R"("10.0.0.41:8080")"},
      {.name = "weight",
       .about = "How much of the requests it gets, against the others. 0: no new ones.",
       .slot = &target.weight,
       .maximum = 256,
       .example = "2"},
      {.name = "proxy",
       .about = "Whether connections to it begin with a PROXY protocol header of version 2, which names the "
                "client.",
       .slot = &target.proxy,
       .example = "true"},
  };
}

void append(std::vector<Field>& fields, std::vector<Field> more) {
  for (Field& field : more) fields.push_back(std::move(field));
}

std::vector<Field> pool_fields(LbPool& pool) {
  std::vector<Field> fields{
      {.name = "servers",
       .about = "Who is in the pool: names of `[servers]` and `[lb.backends]`.",
       .slot = &pool.servers,
       .form = server_name(),
       .minimum = 1,
       .maximum = kPoolMembersMax,
       .required = true,
       .example = R"(["api1", "api2"])"},
      {.name = "hosts",
       .about = "The hosts whose requests the pool takes, beside the site's own; `*.` stands for any first "
                "part.",
       .slot = &pool.hosts,
       .form = host_pattern(),
       .maximum = 64,
       .example = R"(["api.shop.example.com"])",
       .default_words = "any"},
      {.name = "paths",
       .about =
           "The paths whose requests the pool takes; `*` stands for anything, `/` included. With `hosts` "
           "a request must fit both.",
       .slot = &pool.paths,
       .form = url_pattern(),
       .maximum = 64,
       .example = R"(["/api/*"])",
       .default_words = "any"},
      {.name = "tcp",
       .about = "Addresses with ports where the pool takes connections of any protocol and passes them on as "
                "they are. Such a pool takes no requests of the site.",
       .slot = &pool.tcp,
       .form = listen(),
       .maximum = 16,
       .example = R"(["0.0.0.0:6379"])",
       .default_words = "none"},
  };
  append(fields, settings_fields(pool.settings, true));
  return fields;
}

Table lb_table(LbTable& lb) {
  Table table{.name = "lb",
              .about =
                  "The load balancer: the servers with the role `lb` take the requests of visitors on "
                  "`web.listen` and spread them over the servers with the role `web`.",
              .fields = {{.name = "port",
                          .about = "The port on the `address` of each web server where load balancers reach "
                                   "it, always encrypted.",
                          .slot = &lb.port,
                          .minimum = 1,
                          .maximum = 65'535,
                          .example = "7443"}}};
  append(table.fields, settings_fields(lb.pool, false));
  append(table.fields, health_fields(lb));
  append(table.fields, protection_fields(lb));
  append(table.fields, client_fields(lb));
  table.fields.push_back(
      {.name = "vips", .about = "Addresses that move between load balancers.", .later = "step 3"});
  return table;
}

}  // namespace

std::vector<Table> lb_tables(Site& site) {
  Table backends = config::entries_table(site.lb_backends, backend_fields);
  backends.name = "lb.backends";
  backends.about =
      "Servers behind the load balancer that Terrace does not run, by name. Those that no pool names serve "
      "together with the web servers of the site.";
  backends.entry_word = "backend";
  backends.entry_form = server_name();
  Table pools = config::entries_table(site.lb_pools, pool_fields);
  pools.name = "lb.pools";
  pools.about =
      "Requests that go to some servers only, by host and path. The first pool that fits takes a request; "
      "what none takes goes to the servers that are in no pool.";
  pools.entry_word = "pool";
  pools.entry_form = server_name();
  return {lb_table(site.lb), std::move(backends), std::move(pools)};
}

}  // namespace terrace::topology
