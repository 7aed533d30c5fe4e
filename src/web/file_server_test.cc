#include "web/file_server.h"

#include <sys/stat.h>

#include "web/site_fixture.h"

namespace terrace::web {
namespace {

using http::Method;

class FileServerTest : public SiteFixture {};

TEST_F(FileServerTest, ServesAFileWithItsFields) {
  write("/style.css", "body {}");
  start();
  const Exchange exchange = get("/style.css");
  EXPECT_EQ(exchange->status(), 200);
  EXPECT_EQ(exchange->body(), "body {}");
  EXPECT_EQ(exchange->value("Content-Type"), "text/css; charset=utf-8");
  EXPECT_EQ(exchange->value("Last-Modified"), "Sun, 13 Sep 2020 12:26:40 GMT");
  EXPECT_EQ(exchange->value("X-Content-Type-Options"), "nosniff");
  EXPECT_EQ(exchange->value("Accept-Ranges"), "bytes");
  EXPECT_EQ(exchange->value("Cache-Control"), "");
  EXPECT_TRUE(exchange->value("ETag").starts_with('"'));
}

TEST_F(FileServerTest, TheSiteFileBesideTheFilesIsNotServed) {
  write("/site.toml", "[web]");
  write("/index.html", "top");
  site_->path = absolute("/site.toml");
  start();
  EXPECT_EQ(get("/site.toml")->status(), 404);
  EXPECT_EQ(get("/")->status(), 200);
}

TEST_F(FileServerTest, ServesLargeAndEmptyFiles) {
  limits_.content_bytes_max = 1000;
  const std::string large(5000, 'x');
  write("/large.bin", large);
  write("/empty.bin", "");
  start();
  EXPECT_EQ(get("/large.bin")->body(), large);
  const Exchange empty = get("/empty.bin");
  EXPECT_EQ(empty->status(), 200);
  EXPECT_TRUE(empty->finished());
}

TEST_F(FileServerTest, AnswersHeadWithTheLengthAlone) {
  limits_.content_bytes_max = 1000;
  write("/small.txt", "hello");
  write("/large.txt", std::string(5000, 'x'));
  start();
  for (const auto& [path, length] : {std::pair("/small.txt", 5u), std::pair("/large.txt", 5000u)}) {
    const Exchange exchange = make(path, Method::kHead);
    serve(*exchange);
    EXPECT_EQ(exchange->status(), 200);
    EXPECT_EQ(exchange->length(), length);
    EXPECT_EQ(exchange->body(), "");
    EXPECT_TRUE(exchange->finished());
  }
}

TEST_F(FileServerTest, ServesTheIndexOfAFolder) {
  write("/index.html", "top");
  write("/docs/index.html", "docs");
  start();
  EXPECT_EQ(get("/")->body(), "top");
  EXPECT_EQ(get("/docs/")->body(), "docs");
  EXPECT_EQ(get("/docs/")->value("Content-Type"), "text/html; charset=utf-8");
}

TEST_F(FileServerTest, RedirectsAFolderToItsSlashAndKeepsTheQuery) {
  write("/a b/index.html", "x");
  start();
  const Exchange exchange = get("/a%20b?x=1");
  EXPECT_EQ(exchange->status(), 308);
  EXPECT_EQ(exchange->value("Location"), "/a%20b/?x=1");
}

TEST_F(FileServerTest, NeverRedirectsToAnotherHost) {
  write("/evil.example/index.html", "x");
  start();
  EXPECT_EQ(get("//evil.example")->value("Location"), "/evil.example/");
  EXPECT_EQ(get("///evil.example/")->body(), "x");
}

TEST_F(FileServerTest, LeavesAFolderWithoutIndexToTheApp) {
  write("/admin/style.css", "x");
  has_app_ = true;
  start();
  EXPECT_EQ(serve(*make("/admin")), Served::kNotMine);
  EXPECT_EQ(serve(*make("/admin/")), Served::kNotMine);
  EXPECT_EQ(get("/admin/style.css")->body(), "x");
}

TEST_F(FileServerTest, LeavesTheRestToTheApp) {
  has_app_ = true;
  start();
  const Exchange exchange = make("/api/users/1");
  EXPECT_EQ(serve(*exchange), Served::kNotMine);
  EXPECT_FALSE(exchange->begun());
  EXPECT_EQ(serve(*make("/api/users/1", Method::kPost)), Served::kNotMine);
}

TEST_F(FileServerTest, AnswersWhatIsMissingWithoutAnApp) {
  start();
  const Exchange exchange = get("/missing");
  EXPECT_EQ(exchange->status(), 404);
  EXPECT_EQ(exchange->value("Content-Type"), "text/html; charset=utf-8");
  EXPECT_EQ(exchange->value("Cache-Control"), "no-store");
}

TEST_F(FileServerTest, SendsErrorsInTheFormThatTheClientReads) {
  start();
  const Exchange json = make("/missing");
  json->add("Accept", "application/json");
  serve(*json);
  EXPECT_EQ(json->body(), "{\"status\": 404, \"error\": \"Not Found\"}\n");
  const Exchange text = make("/missing");
  text->add("Accept", "text/plain");
  serve(*text);
  EXPECT_EQ(text->body(), "404 Not Found\n");
}

TEST_F(FileServerTest, SendsTheSitesOwnErrorPage) {
  write("/404.html", "lost?");
  site_->web.errors = {{"404", "404.html"}};
  start();
  const Exchange exchange = get("/missing");
  EXPECT_EQ(exchange->status(), 404);
  EXPECT_EQ(exchange->body(), "lost?");
  EXPECT_EQ(server_->error_page(404), "lost?");
  write_now("/404.html", "lost again?");
  turn();
  EXPECT_EQ(get("/missing")->body(), "lost again?");
}

TEST_F(FileServerTest, SendsItsOwnPageWhileTheSitesIsNotThere) {
  site_->web.errors = {{"404", "404.html"}};
  start();
  EXPECT_TRUE(get("/missing")->body().contains("404"));
  write_now("/404.html", "lost?");
  turn();
  EXPECT_EQ(get("/missing")->body(), "lost?");
}

TEST_F(FileServerTest, RefusesAFolderThatIsNotThere) {
  site_->web.files = folder_ + "/missing";
  EXPECT_FALSE(FileServer::create(*reactor_, site_, false, limits_, log_));
}

TEST_F(FileServerTest, WorksWithoutAFolder) {
  site_->web.files.clear();
  has_app_ = true;
  start();
  EXPECT_EQ(serve(*make("/anything")), Served::kNotMine);
  EXPECT_EQ(serve(*make("/.env")), Served::kNotMine);
}

TEST_F(FileServerTest, AnswersOtherMethodsOnAFileWith405) {
  write("/a.txt", "x");
  has_app_ = true;
  start();
  for (const Method method : {Method::kOptions, Method::kDelete, Method::kPut, Method::kOther}) {
    const Exchange exchange = make("/a.txt", method);
    EXPECT_EQ(serve(*exchange), Served::kAnswered);
    EXPECT_EQ(exchange->status(), 405);
    EXPECT_EQ(exchange->value("Allow"), "GET, HEAD");
  }
  EXPECT_EQ(serve(*make("/a.txt", Method::kPost)), Served::kNotMine);
}

TEST_F(FileServerTest, AnswersOptionsForTheWholeServer) {
  has_app_ = true;
  start();
  const Exchange exchange = make("*", Method::kOptions);
  serve(*exchange);
  EXPECT_EQ(exchange->status(), 204);
  EXPECT_TRUE(exchange->value("Allow").contains("GET"));
}

TEST_F(FileServerTest, HidesWhatBeginsWithADot) {
  write("/.env", "secret");
  write("/.git/config", "secret");
  write("/.well-known/security.txt", "contact");
  has_app_ = true;
  start();
  EXPECT_EQ(get("/.env")->status(), 404);
  EXPECT_EQ(get("/.git/config")->status(), 404);
  EXPECT_EQ(get("/%2egit/config")->status(), 404);
  EXPECT_EQ(get("/.well-known/security.txt")->body(), "contact");
}

TEST_F(FileServerTest, RefusesPathsThatReadTwoWays) {
  write("/a.txt", "x");
  start();
  for (const char* path : {"/../a.txt", "/%2e%2e/a.txt", "/x/..;/a.txt", "/a%2etxt%00", "/x%2fa.txt",
                           "/x%5ca.txt", "/%c0%afa.txt", "/a.txt%", "/./a.txt"}) {
    EXPECT_EQ(get(path)->status(), 400) << path;
  }
  EXPECT_EQ(get("/a%2etxt")->body(), "x");
}

TEST_F(FileServerTest, ANameWithAnEncodedSlashIsTheApplicationsOrNobodys) {
  write("/x/a.txt", "x");
  has_app_ = true;
  start();
  const Exchange exchange = make("/x%2Fa.txt");
  EXPECT_EQ(serve(*exchange), Served::kNotMine);
  for (const char* path : {"/..%2fx/a.txt", "/x%2f..%2fa.txt", "/x%2fa%00", "/x%2f%2e%2e", "/x%5ca%2fb"})
    EXPECT_EQ(get(path)->status(), 400) << path;
}

TEST_F(FileServerTest, RefusesLinksOutsideDevicesAndFifos) {
  shell("ln -s /etc/passwd passwd && ln -s / root && mkfifo fifo && ln -s /dev/null null");
  has_app_ = true;
  start();
  EXPECT_EQ(get("/passwd")->status(), 404);
  EXPECT_EQ(get("/root/etc/passwd")->status(), 404);
  EXPECT_EQ(get("/fifo")->status(), 404);
  EXPECT_EQ(get("/null")->status(), 404);
}

TEST_F(FileServerTest, SetsCacheControlByTheFirstPatternThatFits) {
  write("/assets/app.js", "x");
  write("/index.html", "x");
  site_->web.cache = {
      {"/assets/*", "public, max-age=31536000, immutable"}, {"*.html", "no-cache"}, {"*", "none"}};
  start();
  EXPECT_EQ(get("/assets/app.js")->value("Cache-Control"), "public, max-age=31536000, immutable");
  EXPECT_EQ(get("/")->value("Cache-Control"), "no-cache");
}

TEST_F(FileServerTest, AddsTheSitesHeadersAndLetsThemWin) {
  write("/a.txt", "x");
  site_->web.headers = {{"X-Frame-Options", "DENY"}, {"x-content-type-options", "other"}};
  start();
  const Exchange exchange = get("/a.txt");
  EXPECT_EQ(exchange->value("X-Frame-Options"), "DENY");
  EXPECT_EQ(exchange->value("X-Content-Type-Options"), "other");
  EXPECT_EQ(exchange->count("X-Content-Type-Options"), 1);
  EXPECT_EQ(get("/missing")->value("X-Frame-Options"), "DENY");
  ASSERT_EQ(server_->extra_fields().size(), 2u);
}

TEST_F(FileServerTest, GivesASinglePageApplicationItsIndex) {
  write("/index.html", "spa");
  write("/app.js", "js");
  site_->web.fallback = topology::Fallback::kIndex;
  start();
  EXPECT_EQ(get("/users/1")->body(), "spa");
  EXPECT_EQ(get("/users/1")->status(), 200);
  EXPECT_EQ(get("/app.js")->body(), "js");
  EXPECT_EQ(get("/old.js")->status(), 404);
}

TEST_F(FileServerTest, GivesPagesToTheIndexAndDataToTheApp) {
  write("/index.html", "spa");
  site_->web.fallback = topology::Fallback::kIndex;
  has_app_ = true;
  start();
  const Exchange page = make("/users/1");
  page->add("Accept", "text/html,application/xhtml+xml,*/*;q=0.8");
  EXPECT_EQ(serve(*page), Served::kAnswered);
  EXPECT_EQ(page->body(), "spa");
  const Exchange data = make("/api/users");
  data->add("Accept", "*/*");
  EXPECT_EQ(serve(*data), Served::kNotMine);
  const Exchange socket = make("/live");
  socket->add("Accept", "text/html");
  socket->request().upgrade = true;
  EXPECT_EQ(serve(*socket), Served::kNotMine);
}

TEST_F(FileServerTest, KeepsAnEntryAliveWhileASlowClientReadsIt) {
  limits_.entries_max = 1;
  write("/a.txt", "aaa");
  write("/b.txt", "bbb");
  start();
  const Exchange slow = make("/a.txt");
  slow->hold();
  bool done = false;
  struct Run {
    static Task<void> ask(FileServer& server, http::Exchange& exchange, bool& done) {
      [[maybe_unused]] const Served served = co_await server.serve(exchange);
      done = true;
    }
  };
  scope_.spawn(Run::ask(*server_, *slow, done));
  EXPECT_FALSE(done);
  EXPECT_EQ(get("/b.txt")->body(), "bbb");  // takes the only place in the cache
  slow->release();
  EXPECT_TRUE(reactor_->run_until(done, std::chrono::seconds(5)));
  EXPECT_EQ(slow->body(), "aaa");
}

TEST_F(FileServerTest, KeepsWithinItsLimits) {
  limits_.entries_max = 10;
  limits_.content_bytes_max = 1000;
  limits_.cache_bytes_max = 2000;
  limits_.descriptors_max = 3;
  for (int i = 0; i < 40; ++i) write("/small" + std::to_string(i), std::string(500, 'x'));
  for (int i = 0; i < 10; ++i) write("/large" + std::to_string(i), std::string(5000, 'x'));
  start();
  for (int i = 0; i < 40; ++i) EXPECT_EQ(get("/small" + std::to_string(i))->body().size(), 500u);
  for (int i = 0; i < 10; ++i) EXPECT_EQ(get("/large" + std::to_string(i))->body().size(), 5000u);
  EXPECT_LE(server_->metrics().entries.get(), 10);
  EXPECT_LE(server_->metrics().content_bytes.get(), 2000);
  EXPECT_GT(server_->metrics().evictions.get(), 0u);
}

TEST_F(FileServerTest, AsksTheDiskOncePerPathAndSecond) {
  write("/a.txt", "x");
  has_app_ = true;
  start();
  for (int i = 0; i < 5; ++i) get("/a.txt");
  for (int i = 0; i < 5; ++i) serve(*make("/api/" + std::to_string(i)));
  EXPECT_EQ(server_->metrics().loads.get(), 2u);
  clock_.advance(kFreshFor);
  turn();
  get("/a.txt");
  EXPECT_EQ(server_->metrics().loads.get(), 3u);
}

TEST_F(FileServerTest, AllocatesNoFramesForAHit) {
  write("/a.txt", "x");
  start();
  get("/a.txt");
  const Exchange exchange = make("/a.txt");
  const Task<Served> answered = server_->serve(*exchange);
  EXPECT_TRUE(answered.await_ready());
  EXPECT_EQ(exchange->body(), "x");
}

}  // namespace
}  // namespace terrace::web
