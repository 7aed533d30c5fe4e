// A guestbook: an ordinary web application that knows nothing of what runs it.
//
//   PORT          listens there on 127.0.0.1 (8000 without it)
//   SOCKET        listens on this Unix socket instead
//   DATABASE_URL  sqlite:///absolute/path (guestbook.db in this folder without it)
//
// SIGTERM: takes no new requests, finishes those that run, ends with 0.

#include <httplib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <functional>
#include <memory>
#include <string>
#include <thread>

#include "entries.h"
#include "routes.h"

namespace {

// httplib gives every open connection a thread until it closes, idle ones too; a
// proxy in front keeps many open.
constexpr size_t kThreads = 128;
constexpr size_t kBodyBytesMax = 16 * 1024;
constexpr int kBacklog = 512;

std::string setting(const char* name, const char* otherwise) {
  const char* value = std::getenv(name);
  return value != nullptr && *value != '\0' ? value : otherwise;
}

void set_limits(httplib::Server& server) {
  server.new_task_queue = [] { return new httplib::ThreadPool(kThreads); };
  server.set_payload_max_length(kBodyBytesMax);
  server.set_keep_alive_max_count(100'000);
  server.set_keep_alive_timeout(75);
  server.set_tcp_nodelay(true);
}

// Binds and remembers the descriptor, whose backlog httplib would leave at 5.
bool bind(httplib::Server& server, const std::string& path, int port) {
  int listener = -1;
  server.set_socket_options([&listener](int fd) {
    const int on = 1;
    ::setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    listener = fd;
  });
  if (!path.empty()) {
    ::unlink(path.c_str());
    server.set_address_family(AF_UNIX);
    port = 1;  // httplib wants one, and does not use it for a path
  }
  const bool bound = server.bind_to_port(path.empty() ? "127.0.0.1" : path, port);
  return bound && ::listen(listener, kBacklog) == 0;
}

sigset_t stop_signals() {
  sigset_t signals;
  ::sigemptyset(&signals);
  ::sigaddset(&signals, SIGTERM);
  ::sigaddset(&signals, SIGINT);
  return signals;
}

// The signals are blocked in every thread and taken here, where stopping is safe.
void stop_at_signal(httplib::Server& server) {
  const sigset_t signals = stop_signals();
  int number = 0;
  ::sigwait(&signals, &number);
  // stop() is lost on a server that has not begun to run.
  while (!server.is_running()) std::this_thread::sleep_for(std::chrono::milliseconds(5));
  server.stop();
}

std::string chosen_database() {
  const std::string url = setting("DATABASE_URL", "");
  return url.empty() ? "guestbook.db" : guestbook::database_path(url);
}

int serve() {
  auto entries = std::make_unique<guestbook::Entries>(chosen_database());
  httplib::Server server;
  set_limits(server);
  guestbook::add_routes(server, *entries);
  const std::string path = setting("SOCKET", "");
  const std::string port = setting("PORT", "8000");
  const char* where = path.empty() ? port.c_str() : path.c_str();
  if (!bind(server, path, std::atoi(port.c_str()))) {
    std::fprintf(stderr, "guestbook: cannot listen on %s\n", where);
    return 1;
  }
  std::printf("guestbook: listening on %s\n", where);
  std::fflush(stdout);
  std::thread(stop_at_signal, std::ref(server)).detach();
  const bool stopped = server.listen_after_bind();
  if (!path.empty()) ::unlink(path.c_str());
  std::fflush(stdout);
  entries.reset();           // closes the database: its log goes into the file
  ::_exit(stopped ? 0 : 1);  // the other thread still refers to the server
}

}  // namespace

int main() {
  const sigset_t signals = stop_signals();
  ::pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  std::signal(SIGPIPE, SIG_IGN);
  try {
    return serve();
  } catch (const std::exception& error) {
    std::fprintf(stderr, "guestbook: %s\n", error.what());
    return 1;
  }
}
