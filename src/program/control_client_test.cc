#include "program/control_client.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <thread>

#include "program/control.h"

namespace terrace::program {
namespace {

// A controller that answers one question with the bytes that it is told.
class OneAnswer {
 public:
  explicit OneAnswer(std::string answer) {
    char name[] = "/tmp/terrace-control-XXXXXX";
    folder_ = mkdtemp(name);
    path_ = folder_ / "control.sock";
    listener_ = Descriptor(::socket(AF_UNIX, SOCK_STREAM, 0));
    sockaddr_un address{.sun_family = AF_UNIX, .sun_path = {}};
    std::strncpy(address.sun_path, path_.c_str(), sizeof address.sun_path - 1);
    EXPECT_EQ(::bind(listener_.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    EXPECT_EQ(::listen(listener_.get(), 1), 0);
    thread_ = std::thread([this, text = std::move(answer)] { serve(text); });
  }
  ~OneAnswer() {
    thread_.join();
    std::filesystem::remove_all(folder_);
  }
  const std::string path() const { return path_; }
  const std::string& asked() const { return asked_; }

 private:
  void serve(const std::string& answer) {
    const Descriptor connection(::accept(listener_.get(), nullptr, nullptr));
    char byte = 0;
    while (::read(connection.get(), &byte, 1) == 1 && byte != '\n') asked_ += byte;
    (void)!::send(connection.get(), answer.data(), answer.size(), MSG_NOSIGNAL);
  }

  std::filesystem::path folder_;
  std::filesystem::path path_;
  Descriptor listener_;
  std::thread thread_;
  std::string asked_;
};

constexpr std::chrono::seconds kSoon{5};

TEST(ControlClient, SendsALineAndGetsALine) {
  OneAnswer controller("{\"ok\":true}\nignored");
  EXPECT_EQ(ask_controller(controller.path(), "{}", kSoon).value_or("nothing"), "{\"ok\":true}");
  EXPECT_EQ(controller.asked(), "{}");
}

TEST(ControlClient, ShowsEachLineOfProgressBeforeTheAnswer) {
  OneAnswer controller(
      "{\"progress\":\"backup\",\"line\":\"copying\"}\n{\"progress\":\"backup\",\"line\":\"checking\"}\n{"
      "\"ok\":true}\n");
  std::string shown;
  const auto answer = follow_controller(controller.path(), "{}", kSoon, [&](const ControlProgress& progress) {
    shown += progress.step + " " + progress.line + ";";
  });
  EXPECT_EQ(answer.value_or("nothing"), "{\"ok\":true}");
  EXPECT_EQ(shown, "backup copying;backup checking;");
}

TEST(ControlClient, SaysThatNobodyRuns) {
  const auto answer = ask_controller("/tmp/terrace-no-such-folder/control.sock", "{}", kSoon);
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code, Code::kNotFound);
  EXPECT_NE(describe_control_error(answer.error(), "x").find("terrace up"), std::string::npos);
}

TEST(ControlClient, AnEndWithoutAnAnswerIsAnError) {
  OneAnswer controller("{\"ok\":");
  const auto answer = ask_controller(controller.path(), "{}", kSoon);
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code, Code::kClosed);
}

TEST(ControlClient, AnEndlessAnswerIsAnError) {
  OneAnswer controller(std::string(kControlAnswerBytesMax + 100'000, 'x'));
  const auto answer = ask_controller(controller.path(), "{}", kSoon);
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code, Code::kLimit);
}

TEST(ControlClient, APathThatNoSocketCanHaveIsRefused) {
  const auto answer = ask_controller(std::string(200, 'x'), "{}", kSoon);
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code, Code::kInvalid);
}

}  // namespace
}  // namespace terrace::program
