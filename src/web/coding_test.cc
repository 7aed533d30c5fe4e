// Siblings compressed beforehand, compression on the fly, and what they mean for
// caches, tags and ranges.

#include "web/compress.h"
#include "web/site_fixture.h"

namespace terrace::web {
namespace {

class CodingTest : public SiteFixture {
 protected:
  Exchange get_with(const std::string& target, std::string_view accept) {
    Exchange exchange = make(target);
    exchange->add("Accept-Encoding", accept);
    serve(*exchange);
    return exchange;
  }
  static std::string text() {
    std::string result;
    for (int i = 0; i < 200; ++i) result += "body { color: #" + std::to_string(i) + " }\n";
    return result;
  }
};

TEST_F(CodingTest, CompressesTextForWhoAcceptsIt) {
  write("/a.css", text());
  start();
  for (const Coding coding : {Coding::kGzip, Coding::kZstd, Coding::kBrotli}) {
    const Exchange exchange = get_with("/a.css", coding_name(coding));
    EXPECT_EQ(exchange->status(), 200);
    EXPECT_EQ(exchange->value("Content-Encoding"), coding_name(coding));
    EXPECT_EQ(exchange->value("Vary"), "Accept-Encoding");
    EXPECT_EQ(exchange->body(), compress(text(), coding));
  }
  EXPECT_EQ(server_->metrics().compressions.get(), 3u);
  get_with("/a.css", "br");
  EXPECT_EQ(server_->metrics().compressions.get(), 3u);
}

TEST_F(CodingTest, SendsTheFileItselfToWhoDoesNot) {
  write("/a.css", text());
  start();
  for (const Exchange& exchange :
       {get("/a.css"), get_with("/a.css", "deflate"), get_with("/a.css", "br;q=0")}) {
    EXPECT_EQ(exchange->value("Content-Encoding"), "");
    EXPECT_EQ(exchange->value("Vary"), "Accept-Encoding");
    EXPECT_EQ(exchange->body(), text());
  }
}

TEST_F(CodingTest, GivesEachCodingATagOfItsOwn) {
  write("/a.css", text());
  start();
  const std::string plain = get("/a.css")->value("ETag");
  const std::string brotli = get_with("/a.css", "br")->value("ETag");
  EXPECT_NE(plain, brotli);
  EXPECT_TRUE(brotli.ends_with("-br\""));
  const Exchange again = make("/a.css");
  again->add("Accept-Encoding", "br");
  again->add("If-None-Match", brotli);
  serve(*again);
  EXPECT_EQ(again->status(), 304);
  EXPECT_EQ(again->value("ETag"), brotli);
  EXPECT_EQ(again->value("Vary"), "Accept-Encoding");
}

TEST_F(CodingTest, NeverCompressesWhatIsCompressedSmallOrUnwanted) {
  write("/a.png", text());
  write("/small.css", "body {}");
  start();
  for (const char* path : {"/a.png", "/small.css"}) {
    const Exchange exchange = get_with(path, "br, gzip");
    EXPECT_EQ(exchange->value("Content-Encoding"), "") << path;
    EXPECT_EQ(exchange->value("Vary"), "") << path;
  }
}

TEST_F(CodingTest, CanBeTurnedOff) {
  write("/a.css", text());
  site_->web.compress = false;
  start();
  EXPECT_EQ(get_with("/a.css", "br")->value("Content-Encoding"), "");
}

TEST_F(CodingTest, SendsSiblingsWithTheTypeOfTheFile) {
  write("/a.js", text());
  write("/a.js.gz", "pretend gzip");
  write("/a.js.br", "pretend brotli");
  start();
  const Exchange brotli = get_with("/a.js", "gzip, br");
  EXPECT_EQ(brotli->body(), "pretend brotli");
  EXPECT_EQ(brotli->value("Content-Encoding"), "br");
  EXPECT_EQ(brotli->value("Content-Type"), "text/javascript; charset=utf-8");
  EXPECT_EQ(get_with("/a.js", "gzip")->body(), "pretend gzip");
  // What costs nothing goes before what would have to be made, at equal weight.
  EXPECT_EQ(get_with("/a.js", "gzip, zstd")->body(), "pretend gzip");
  EXPECT_EQ(server_->metrics().compressions.get(), 0u);
}

TEST_F(CodingTest, IgnoresASiblingLeftOverFromBeforeAnEdit) {
  write("/a.js.gz", "pretend gzip");
  write_now("/a.js", text());
  start();
  EXPECT_NE(get_with("/a.js", "gzip")->body(), "pretend gzip");
}

TEST_F(CodingTest, SendsLargeSiblingsFromTheirDescriptor) {
  limits_.content_bytes_max = 10;
  write("/a.js", text());
  write("/a.js.br", "pretend brotli");
  start();
  EXPECT_EQ(get_with("/a.js", "br")->body(), "pretend brotli");
}

TEST_F(CodingTest, CompressesWhatIsNotHeldInMemoryUpToALimit) {
  limits_.content_bytes_max = 10;
  limits_.compress_bytes_max = text().size();
  write("/a.css", text());
  write("/b.css", text() + "x");
  start();
  EXPECT_EQ(get_with("/a.css", "gzip")->body(), compress(text(), Coding::kGzip));
  EXPECT_EQ(get_with("/b.css", "gzip")->value("Content-Encoding"), "");
}

TEST_F(CodingTest, TakesRangesFromTheFileItself) {
  write("/a.css", text());
  start();
  const Exchange exchange = make("/a.css");
  exchange->add("Accept-Encoding", "gzip, br");
  exchange->add("Range", "bytes=0-9");
  serve(*exchange);
  EXPECT_EQ(exchange->status(), 206);
  EXPECT_EQ(exchange->value("Content-Encoding"), "");
  EXPECT_EQ(exchange->body(), text().substr(0, 10));
}

TEST_F(CodingTest, SaysSoWhenNothingIsAcceptable) {
  write("/a.png", text());
  write("/a.css", text());
  start();
  EXPECT_EQ(get_with("/a.png", "identity;q=0")->status(), 406);
  EXPECT_EQ(get_with("/a.css", "identity;q=0")->status(), 406);
  EXPECT_EQ(get_with("/a.css", "gzip;q=0.1, identity;q=0")->value("Content-Encoding"), "gzip");
}

TEST_F(CodingTest, CompressesOnceForManyWhoAskTogether) {
  write("/a.css", text());
  start();
  std::vector<Exchange> exchanges;
  int done = 0;
  bool all_done = false;
  struct Run {
    static Task<void> ask(FileServer& server, http::Exchange& exchange, int& done, bool& all_done) {
      [[maybe_unused]] const Served served = co_await server.serve(exchange);
      all_done = ++done == 20;
    }
  };
  for (int i = 0; i < 20; ++i) {
    exchanges.push_back(make("/a.css"));
    exchanges.back()->add("Accept-Encoding", "br");
    scope_.spawn(Run::ask(*server_, *exchanges.back(), done, all_done));
  }
  reactor_->run_until(all_done, std::chrono::seconds(10));
  EXPECT_EQ(done, 20);
  for (const Exchange& exchange : exchanges) EXPECT_EQ(exchange->value("Content-Encoding"), "br");
  EXPECT_EQ(server_->metrics().compressions.get(), 1u);
}

}  // namespace
}  // namespace terrace::web
