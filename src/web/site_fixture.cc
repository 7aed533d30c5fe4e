#include "web/site_fixture.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "reactor/mailbox.h"

namespace terrace::web {
namespace {

Task<void> ask(FileServer& server, http::Exchange& exchange, Served& served, bool& done) {
  served = co_await server.serve(exchange);
  done = true;
}

Task<void> close(FileServer& server, bool& done) {
  co_await server.close();
  done = true;
}

}  // namespace

SiteFixture::SiteFixture() : reactor_(Reactor::create(clock_, {}).value()) {
  std::string pattern = testing::TempDir() + "web-XXXXXX";
  folder_ = ::mkdtemp(pattern.data());
  site_->web.files = folder_;
}

SiteFixture::~SiteFixture() {
  if (server_ != nullptr) {
    bool closed = false;
    scope_.spawn(close(*server_, closed));
    EXPECT_TRUE(reactor_->run_until(closed, std::chrono::seconds(5)));
  }
  std::filesystem::remove_all(folder_);
}

void SiteFixture::write_now(const std::string& path, std::string_view content) {
  std::filesystem::create_directories(std::filesystem::path(absolute(path)).parent_path());
  std::ofstream(absolute(path), std::ios::binary) << content;
}

void SiteFixture::write(const std::string& path, std::string_view content) {
  write_now(path, content);
  const timespec times[2] = {{1'600'000'000, 0}, {1'600'000'000, 0}};
  ASSERT_EQ(::utimensat(AT_FDCWD, absolute(path).c_str(), times, 0), 0);
}

void SiteFixture::shell(const std::string& command) const {
  const int status = std::system(("cd '" + folder_ + "' && " + command).c_str());
  EXPECT_EQ(status, 0) << command;
}

void SiteFixture::start() {
  Result<std::unique_ptr<FileServer>> server = FileServer::create(*reactor_, site_, has_app_, limits_, log_);
  ASSERT_TRUE(server) << describe(server.error());
  server_ = std::move(*server);
}

SiteFixture::Exchange SiteFixture::make(std::string target, http::Method method) {
  return std::make_unique<ScriptedExchange>(*reactor_, method, std::move(target));
}

Served SiteFixture::serve(ScriptedExchange& exchange) {
  Served served = Served::kNotMine;
  bool done = false;
  scope_.spawn(ask(*server_, exchange, served, done));
  EXPECT_TRUE(reactor_->run_until(done, std::chrono::seconds(5)));
  return served;
}

SiteFixture::Exchange SiteFixture::get(std::string target) {
  Exchange exchange = make(std::move(target));
  EXPECT_EQ(serve(*exchange), Served::kAnswered);
  return exchange;
}

void SiteFixture::turn() {
  for (int i = 0; i < 3; ++i) {
    bool turned = false;
    submit(*reactor_, [&turned] { turned = true; });
    reactor_->run_until(turned, std::chrono::seconds(1));
  }
}

}  // namespace terrace::web
