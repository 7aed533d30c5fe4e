#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>

#include "base/log.h"
#include "reactor/scope.h"
#include "web/file_server.h"
#include "web/scripted_exchange.h"

namespace terrace::web {

// The kernel's clock, moved ahead when a test wants time to pass.
class MovedClock final : public Clock {
 public:
  Time now() const override { return system_.now() + ahead_; }
  WallTime wall() const override { return system_.wall(); }
  void advance(Duration by) { ahead_ += by; }

 private:
  SystemClock system_;
  Duration ahead_{};
};

// A site with a folder of real files, and a server for it once start() was called.
class SiteFixture : public testing::Test {
 protected:
  SiteFixture();
  ~SiteFixture() override;

  // Writes a file beneath the folder, with the folders on the way, last changed
  // long ago unless the test is about that.
  void write(const std::string& path, std::string_view content);
  void write_now(const std::string& path, std::string_view content);
  std::string absolute(const std::string& path) const { return folder_ + path; }
  void shell(const std::string& command) const;

  void start();
  // Asks and waits for the answer.
  using Exchange = std::unique_ptr<ScriptedExchange>;
  Exchange make(std::string target, http::Method method = http::Method::kGet);
  Served serve(ScriptedExchange& exchange);
  Exchange get(std::string target);
  // Lets the reactor see what the kernel has to say.
  void turn();

  MovedClock clock_;
  std::unique_ptr<Reactor> reactor_;
  std::shared_ptr<topology::Site> site_ = std::make_shared<topology::Site>();
  bool has_app_ = false;
  Limits limits_;
  Log log_{"test"};
  std::string folder_;
  Scope scope_;
  std::unique_ptr<FileServer> server_;
};

}  // namespace terrace::web
