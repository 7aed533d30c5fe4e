#include "topology/fields.h"

#include "topology/forms.h"
#include "topology/lb_fields.h"

namespace terrace::topology {
namespace {

using config::choice;
using config::choices;
using config::Field;
using config::Table;

constexpr int64_t kSecond = 1000;
constexpr int64_t kMinute = 60 * kSecond;
constexpr int64_t kHour = 60 * kMinute;
constexpr int64_t kGiB = 1 << 30;

Table site_table(SiteTable& site) {
  return {
      .name = "site",
      .about = "What the site is called.",
      .fields = {
          {.name = "name",
           .about = "The site's name in logs, metrics and folders.",
           .slot = &site.name,
           .form = site_name(),
           .example = R"("shop")"},
          {.name = "domain",
           .about = "The name that visitors type, without `www.`. Requests for another host get 421, but "
                    "those from this machine itself. "
                    "Without it the site answers to any host, which suits a laptop.",
           .slot = &site.domain,
           .form = domain_name(),
           .example = R"("shop.example.com")"},
          {.name = "www",
           .about =
               "Which of `domain` and `www.domain` is the site; the other redirects to it. Needs `domain`.",
           .slot = choice(site.www, {{"off", "only `domain` is served"},
                                     {"to-bare", "`www.` redirects to the bare domain"},
                                     {"to-www", "the bare domain redirects to `www.`"}}),
           .example = R"("to-www")"},
          {.name = "admin",
           .about = "Where `/metrics` is served: a loopback address with a port. Port 0 takes any free one.",
           .slot = &site.admin,
           .form = loopback(),
           .example = R"("127.0.0.1:9180")"},
      }};
}

// What the application is and how it runs.
std::vector<Field> process_fields(AppTable& app) {
  return {
      {.name = "run",
       .about =
           "The command that starts the application: any process that speaks HTTP. It runs in `folder` by "
           "`sh -c` and finds where to listen in `PORT` and its database in `DATABASE_URL`. Without it there "
           "is no application and only files are served.",
       .slot = &app.run,
       .form = command(),
       .example = R"("npm start")",
       .default_words = "none"},
      {.name = "folder",
       .about = "Where the command runs. Relative to the site file. It must exist.",
       .slot = &app.folder,
       .form = path(),
       .example = R"("app")",
       .default_words = "the folder of the site file"},
      {.name = "user",
       .about = "The user that the application runs as, when Terrace was started by root; never root itself.",
       .slot = &app.user,
       .form = user_name(),
       .example = R"("shop")",
       .default_words = "`terrace-app` when started by root, else the user who started Terrace"},
      {.name = "instances",
       .about = "How many processes of the application run. 0: one per core, or fewer where memory is short.",
       .slot = &app.instances,
       .maximum = 256,
       .example = "4"},
      {.name = "socket",
       .about = "How an instance is reached.",
       .slot = choice(app.socket, {{"port", "a loopback port, in `PORT`"},
                                   {"unix", "a Unix socket, its path in `SOCKET` and in `PORT`"}}),
       .example = R"("unix")"},
      {.name = "env",
       .about = "Variables of the application's environment, beside `PORT` and `DATABASE_URL`. Their values "
                "are never "
                "printed.",
       .slot = &app.env,
       .form = variable_text(),
       .name_form = variable(),
       .secret = true,
       .example = R"({ MODE = "production", API_KEY = "${secret:API_KEY}" })"},
  };
}

// When an instance counts as healthy, and how it ends.
std::vector<Field> health_fields(AppTable& app) {
  return {
      {.name = "health",
       .about = "The path that is asked for to see whether an instance is healthy; any status below 400 is.",
       .slot = &app.health,
       .form = url_path(),
       .example = R"("/up")"},
      {.name = "health_interval",
       .about = "The time between two such questions.",
       .slot = &app.health_interval,
       .minimum = 100,
       .maximum = 5 * kMinute,
       .example = R"("5s")"},
      {.name = "health_timeout",
       .about = "How long the answer may take.",
       .slot = &app.health_timeout,
       .minimum = 100,
       .maximum = kMinute,
       .example = R"("1s")"},
      {.name = "start_timeout",
       .about = "How long an instance may take from its start to its first healthy answer.",
       .slot = &app.start_timeout,
       .minimum = kSecond,
       .maximum = kHour,
       .example = R"("90s")"},
      {.name = "grace",
       .about = "How long an instance may take to end after SIGTERM, before SIGKILL.",
       .slot = &app.grace,
       .maximum = kHour,
       .example = R"("10s")"},
  };
}

std::vector<Field> app_limit_fields(AppTable& app) {
  return {
      {.name = "memory",
       .about = "The memory that one instance may use. \"0B\": no limit.",
       .slot = &app.memory_bytes,
       .maximum = 1024 * kGiB,
       .example = R"("512MB")"},
      {.name = "processes",
       .about = "How many processes and threads one instance may have. 0: no limit.",
       .slot = &app.processes,
       .maximum = 100'000,
       .example = "64"},
      {.name = "response_timeout",
       .about = "How long the application may take until its answer begins, and between two parts of it.",
       .slot = &app.response_timeout,
       .minimum = 100,
       .maximum = kHour,
       .example = R"("30s")"},
      {.name = "connections_max",
       .about = "Requests that one instance gets at the same time; more wait in the queue.",
       .slot = &app.connections_max,
       .minimum = 1,
       .maximum = 100'000,
       .example = "64"},
      {.name = "queue",
       .about = "Requests that wait for an instance, at most; more are answered with 503.",
       .slot = &app.queue,
       .maximum = 1'000'000,
       .example = "512"},
      {.name = "queue_timeout",
       .about = "How long a request waits for an instance before it is answered with 503.",
       .slot = &app.queue_timeout,
       .maximum = 10 * kMinute,
       .example = R"("5s")"},
  };
}

// What becomes of a release before it serves.
std::vector<Field> release_fields(AppTable& app) {
  return {
      {.name = "packages",
       .about = "Debian packages that the application needs, to build and to run. `terrace deploy` installs "
                "those that are missing.",
       .slot = &app.packages,
       .form = package_name(),
       .maximum = 64,
       .example = R"(["imagemagick", "ruby-bundler"])"},
      {.name = "build",
       .about =
           "The command that makes a release ready to run. It runs in `folder` as the application's user, "
           "once per `terrace deploy`.",
       .slot = &app.build,
       .form = command(),
       .example = R"("npm ci")",
       .default_words = "none"},
      {.name = "build_timeout",
       .about = "How long `build` may take.",
       .slot = &app.build_timeout,
       .minimum = kSecond,
       .maximum = 24 * kHour,
       .example = R"("1h")"},
      {.name = "migrate",
       .about = "The command that brings the database up to the release. It runs once per release, after "
                "`build` and before any instance of it starts, while the release before still serves.",
       .slot = &app.migrate,
       .form = command(),
       .example = R"("npm run migrate")",
       .default_words = "none"},
      {.name = "migrate_timeout",
       .about = "How long `migrate` may take.",
       .slot = &app.migrate_timeout,
       .minimum = kSecond,
       .maximum = 24 * kHour,
       .example = R"("2h")"},
      {.name = "writable",
       .about = "Files and folders in `folder` that the application writes to. They belong to no release: "
                "each new one finds what the one before left there.",
       .slot = &app.writable,
       .form = writable_path(),
       .maximum = 64,
       .example = R"(["uploads", "public/media"])"},
      {.name = "database_url",
       .about = "The form of `DATABASE_URL`: `plain`, as most libraries read it; `rails`; `sqlalchemy`; or a "
                "template in which `{host}`, `{port}`, `{name}`, `{user}`, `{password}` and, for SQLite, "
                "`{path}` are replaced, each with what is special in a URL written as `%XX`.",
       .slot = &app.database_url,
       .form = url_style(),
       .example = R"("rails")"},
      {.name = "bake",
       .about = "How long a new release is compared with the one before, which stays ready to take over "
                "again. \"0s\": not at all.",
       .slot = &app.bake,
       .maximum = 24 * kHour,
       .example = R"("5m")"},
  };
}

std::vector<Field> file_fields(WebTable& web) {
  return {
      {.name = "listen",
       .about =
           "Addresses with ports to serve visitors on. Where a server has the role `lb`, only such servers "
           "open them. Port 0 takes any free one.",
       .slot = &web.listen,
       .form = listen(),
       .minimum = 1,
       .maximum = 16,
       .example = R"(["127.0.0.1:8080"])",
       .default_words =
           R"(`["0.0.0.0:80", "[::]:80"]` with `[servers]`, else `["127.0.0.1:8080", "[::1]:8080"]`)"},
      {.name = "files",
       .about = "A folder of files that the web server serves itself; the rest goes to the application. "
                "Relative to "
                "the site file. It must exist, and must not hold the site file.",
       .slot = &web.files,
       .form = path(),
       .example = R"("public")",
       .default_words = "none"},
      {.name = "index",
       .about = "Names of files that stand for their folder; the first that exists is served.",
       .slot = &web.index,
       .form = file_name(),
       .maximum = 8,
       .example = R"(["index.html"])"},
      {.name = "fallback",
       .about = "What answers when no file does.",
       .slot = choice(web.fallback, {{"app", "the application"},
                                     {"index",
                                      "the first of `index` at the top of `files`, for single-page "
                                      "applications"},
                                     {"none", "404"}}),
       .example = R"("index")",
       .default_words = R"(`"app"` where there is an application, else `"none"`)"},
      {.name = "compress",
       .about = "Whether files are compressed for clients that accept it. Answers of the application pass as "
                "they are.",
       .slot = &web.compress,
       .example = "false"},
  };
}

// What answers carry, and where they lead.
std::vector<Field> answer_fields(WebTable& web) {
  return {
      {.name = "cache",
       .about =
           "`Cache-Control` of files, by pattern of their path; the first that fits counts. In a pattern `*` "
           "stands for anything, `/` included.",
       .slot = &web.cache,
       .form = header_value(),
       .name_form = url_pattern(),
       .example = R"({ "/assets/*" = "public, max-age=31536000, immutable" })"},
      {.name = "headers",
       .about = "Headers that every answer carries.",
       .slot = &web.headers,
       .form = header_value(),
       .name_form = header_name(),
       .example = R"({ X-Frame-Options = "DENY" })"},
      {.name = "redirects",
       .about =
           "Paths that lead elsewhere, to a path or a URL; the first pattern that fits counts. What `*` "
           "stands for "
           "goes where the target has its own. The status is 308, or one that stands in front of the target: "
           "301, 302, 303, 307.",
       .slot = &web.redirects,
       .form = redirect(),
       .name_form = redirected(),
       .example = R"({ "/old" = "/new", "/blog/*" = "302 https://blog.example.com/*" })"},
      {.name = "errors",
       .about = "Pages for error statuses: files below `files`. They answer where Terrace itself would have "
                "nothing "
                "but a line of text.",
       .slot = &web.errors,
       .form = file_path(),
       .name_form = error_status(),
       .example = R"({ 404 = "404.html" })"},
  };
}

std::vector<Field> request_fields(WebTable& web) {
  return {
      {.name = "trusted",
       .about = "Networks of proxies in front of this site, whose `X-Forwarded-For` and `Forwarded` are "
                "believed; from "
                "anyone else they are dropped.",
       .slot = &web.trusted,
       .form = network(),
       .maximum = 64,
       .example = R"(["10.0.0.0/8"])"},
      {.name = "access_log",
       .about = "The form of the access log, one line per request.",
       .slot =
           choice(web.access_log, {{"json", "one JSON object"}, {"readable", "for people"}, {"off", "none"}}),
       .example = R"("readable")"},
      {.name = "body_max",
       .about = "The largest body of a request; a larger one is answered with 413.",
       .slot = &web.body_bytes_max,
       .maximum = 1024 * kGiB,
       .example = R"("10MB")"},
      {.name = "head_timeout",
       .about = "How long the head of a request may take to arrive.",
       .slot = &web.head_timeout,
       .minimum = 100,
       .maximum = 10 * kMinute,
       .example = R"("5s")"},
      {.name = "idle_timeout",
       .about = "How long a connection may do nothing before it is closed.",
       .slot = &web.idle_timeout,
       .minimum = 100,
       .maximum = kHour,
       .example = R"("30s")"},
      {.name = "drain_timeout",
       .about = "How long WebSockets, downloads and other long answers may go on in a process that `terrace "
                "upgrade` has replaced. What is left then is cut off.",
       .slot = &web.drain_timeout,
       .maximum = 24 * kHour,
       .example = R"("10m")"},
      {.name = "connections_max",
       .about =
           "Connections of clients at the same time; more are answered with 503 and closed. 0: by memory, "
           "16 per MiB.",
       .slot = &web.connections_max,
       .maximum = 1'000'000,
       .example = "50000"},
  };
}

std::vector<Field> db_fields(DbTable& db) {
  return {
      {.name = "engine",
       .about = "The database that Terrace runs for the application.",
       .slot = choice(db.engine, {{"sqlite", "a file that only the application's user reads"},
                                  {"none", "no database, or the one that `url` names"},
                                  {"mariadb", "a primary and its replicas", "step 1"}}),
       .example = R"("sqlite")",
       .default_words = R"(`"none"` with `url` or without an application, else `"sqlite"`)"},
      {.name = "url",
       .about =
           "A database that Terrace does not run; the application gets it as `DATABASE_URL`. It is never "
           "printed. What `${…}` stands for is percent-encoded where it is the user, the password or a "
           "part of the query.",
       .slot = &db.url,
       .form = database_url(),
       .secret = true,
       .url = true,
       .example = R"("postgres://shop:${secret:DB_PASSWORD}@db.example.com/shop")",
       .default_words = "none"},
      {.name = "link",
       .about =
           "A name in `app.folder` under which the application expects its SQLite file, such as Django's "
           "`db.sqlite3`. Terrace puts a link there that leads to the site's database; a file that is "
           "there already becomes the site's database the first time.",
       .slot = &db.link,
       .form = writable_path(),
       .example = R"("db.sqlite3")",
       .default_words = "none: `DATABASE_URL` says where it is"},
      {.name = "backup",
       .about = "When the database is backed up: `off`, `hourly`, `daily`, or daily at a time such as "
                "\"03:30\", in UTC. Only for the one that `engine` names.",
       .slot = &db.backup,
       .form = backup_time(),
       .example = R"("03:30")",
       .default_words = R"(`"daily"` with `engine`, else `"off"`)"},
      {.name = "backups_kept",
       .about = "How many backups are kept; the oldest go first.",
       .slot = &db.backups_kept,
       .minimum = 1,
       .maximum = 10'000,
       .example = "30"},
      {.name = "ack", .about = "What COMMIT waits for.", .later = "step 1"},
      {.name = "failover", .about = "Who promotes a replica.", .later = "step 3"},
  };
}

Table logs_table(LogsTable& logs) {
  return {.name = "logs",
          .about = "How long logs are kept: the application's, the access log, and Terrace's own.",
          .fields = {
              {.name = "file_size",
               .about = "How large a log becomes before a new file is begun.",
               .slot = &logs.file_bytes_max,
               .minimum = 1000,
               .maximum = 1024 * kGiB,
               .example = R"("16MB")"},
              {.name = "age",
               .about = "How old a file of a log becomes before it is removed; a day at most is in one file.",
               .slot = &logs.age_max,
               .minimum = kMinute,
               .maximum = 3650 * 24 * kHour,
               .example = R"("7d")"},
              {.name = "total",
               .about = "What all logs together may take; the oldest files go first.",
               .slot = &logs.total_bytes_max,
               .minimum = 1000,
               .maximum = 1024 * kGiB,
               .example = R"("200MB")"},
          }};
}

std::vector<Field> server_fields(Server& server) {
  return {
      {.name = "address",
       .about =
           "The IP address of the server, by which the others reach it; no two have the same. A single entry "
           "is the machine that `terrace up` runs on.",
       .slot = &server.address,
       .form = address(),
       .required = true,
       .example = R"("203.0.113.7")"},
      {.name = "roles",
       .about = "What this server does.",
       .slot = choices(server.roles, {{"lb", "spreads requests over the web servers"},
                                      {"web", "serves files and passes the rest on"},
                                      {"app", "runs the application"},
                                      {"db", "holds the database"},
                                      {"monitor", "collects metrics and sends alerts", "step 2"}}),
       .minimum = 1,
       .maximum = 5,
       .example = R"(["web", "app", "db"])",
       .default_words = R"(`["web", "app"]`, and `"db"` with `db.engine` = `"sqlite"`)"},
      {.name = "weight",
       .about =
           "How much of the requests a web server gets behind a load balancer, against the others. 0: no "
           "new ones.",
       .slot = &server.weight,
       .maximum = 256,
       .example = "2"},
  };
}

Table cluster_table(ClusterTable& cluster) {
  return {
      .name = "cluster",
      .about = "How the servers of a site reach each other; only with several in `[servers]`.",
      .fields = {
          {.name = "port",
           .about = "The port on the `address` of each server where the others reach it, always encrypted. "
                    "The next port is the cluster's as well. No two servers of one machine may share them.",
           .slot = &cluster.port,
           .minimum = 1,
           .maximum = 65'535,
           .example = "7443"},
          {.name = "certificate_life",
           .about = "How long the certificate of a server is valid. A new one is made after a third of it, "
                    "so the site's authority may be away for the rest.",
           .slot = &cluster.certificate_life,
           .minimum = 10 * kSecond,
           .maximum = 365 * 24 * kHour,
           .example = R"("7d")"},
      }};
}

Table servers_table(std::vector<Server>& servers) {
  Table table = config::entries_table(servers, server_fields);
  table.name = "servers";
  table.about =
      "The machines of the site, by name. Without this table this machine holds every role and serves "
      "localhost only; with one entry it is a public server on port 80. With several, each of them is a "
      "member of the site: docs/servers.md.";
  table.entry_word = "server";
  table.entry_form = server_name();
  return table;
}

std::vector<Table> later_tables() {
  return {
      {.name = "tls", .about = "Certificates, and encryption between servers.", .later = "step 2"},
      {.name = "firewall", .about = "Which ports are open, and to whom.", .later = "step 2"},
      {.name = "monitor", .about = "Metrics, alerts and the dashboard.", .later = "step 2"},
  };
}

void append(std::vector<Field>& fields, std::vector<Field> more) {
  for (Field& field : more) fields.push_back(std::move(field));
}

}  // namespace

std::vector<Table> site_tables(Site& site) {
  Table app{.name = "app",
            .about = "The application: a command that Terrace starts, watches and passes requests to.",
            .fields = process_fields(site.app)};
  append(app.fields, health_fields(site.app));
  append(app.fields, app_limit_fields(site.app));
  append(app.fields, release_fields(site.app));
  Table web{.name = "web",
            .about = "The web server: where it listens, the files that it serves, and limits for clients.",
            .fields = file_fields(site.web)};
  append(web.fields, answer_fields(site.web));
  append(web.fields, request_fields(site.web));
  Table db{.name = "db", .about = "The database of the application.", .fields = db_fields(site.db)};
  std::vector<Table> tables{site_table(site.site),
                            std::move(app),
                            std::move(web),
                            std::move(db),
                            logs_table(site.logs),
                            servers_table(site.servers),
                            cluster_table(site.cluster)};
  for (Table& table : lb_tables(site)) tables.push_back(std::move(table));
  for (Table& table : later_tables()) tables.push_back(std::move(table));
  return tables;
}

}  // namespace terrace::topology
