#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string_view>

#include "base/log.h"
#include "base/metrics.h"
#include "http/exchange.h"
#include "topology/site.h"

namespace terrace::web {

// The web server of one core: what [web] and the `www` rule of [site] say.
//
// serve() looks at a request in this order: the www rule and the redirects (one
// redirect at most comes of both), the static file, the fallback. What is left
// over is the app's. A path is normalised once, and the very same string is
// opened beneath the folder of files (openat2(2), RESOLVE_BENEATH).
//
// Files up to Limits::content_bytes_max are held in memory with their prepared
// header fields, larger ones as an open descriptor; a hit is one hash lookup and
// no system call beyond those of the answer, allocates nothing and makes no
// coroutine frame. An entry is looked at again on disk after kFreshFor and at once when
// inotify(7) says that something changed, so a deploy is seen within kFreshFor
// on every file system.
//
// What could block (a path or bytes that are not in the kernel's caches,
// compression) runs on one helper thread of this object.
//
// An object belongs to its core and is immutable: a reload makes a new one and
// closes the old one. Instances of inotify are limited per user (128 by default): one
// FileServer holds one, and without one kFreshFor alone bounds what is stale.

enum class Served : uint8_t {
  kAnswered,  // the exchange has its answer
  kNotMine,   // nothing was sent: the app's
};

struct Limits {
  uint64_t content_bytes_max = 64 << 10;  // a larger file is sent from its descriptor
  uint64_t cache_bytes_max = 64 << 20;    // all content in memory
  size_t entries_max = 4096;              // paths known to be files or folders
  size_t descriptors_max = 256;           // open large files
  uint64_t compress_bytes_max = 1 << 20;  // a larger file is compressed only beforehand
  size_t loads_max = 256;                 // paths that wait for the helper thread; more: 503
  size_t folders_watched_max = 1024;      // deeper ones are seen after kFreshFor
};

// The longest that a change on disk can stay unseen.
constexpr Duration kFreshFor = std::chrono::seconds(1);

struct Metrics {
  Counter answered;       // requests answered here
  Counter hits;           // of them from the cache
  Counter loads;          // looks at the disk
  Counter loads_blocked;  // of them by the helper thread
  Counter loads_refused;  // over Limits::loads_max
  Counter compressions;
  Counter evictions;
  Gauge entries;
  Gauge content_bytes;
};

class FileServer {
 public:
  // `has_app`: somebody answers what serve() leaves over. Errors: the folder of
  // files cannot be opened; a redirect or a network that topology would not let pass.
  static Result<std::unique_ptr<FileServer>> create(Reactor& reactor,
                                                    std::shared_ptr<const topology::Site> site, bool has_app,
                                                    const Limits& limits, const Log& log);
  ~FileServer();
  FileServer(const FileServer&) = delete;
  FileServer& operator=(const FileServer&) = delete;

  // Answers, or leaves the exchange untouched (kNotMine). Ready at once, without a
  // frame, unless the client is slow or the disk is. Without an app everything is answered.
  Task<Served> serve(http::Exchange& exchange);

  // Answers with the site's page for `status` (400 to 599), or ours; as text or JSON
  // for who does not accept HTML. Nothing may have begun. `extra`: fields of this answer,
  // which stay until it is given.
  Task<void> respond_error(http::Exchange& exchange, int status, std::span<const http::Field> extra = {});
  // The same page as HTML, for Handler::error_page(). Valid until the next call or close().
  std::string_view error_page(int status);

  // [web] headers, for answers of the app. They live as long as this object.
  std::span<const http::Field> extra_fields() const;

  // Keeps close() waiting: hold one while an exchange uses anything of this object
  // after serve() ended. A plain counter, not for other threads.
  class Use {
   public:
    explicit Use(FileServer& server);
    Use(Use&& other) noexcept;
    Use& operator=(Use&&) = delete;
    ~Use();

   private:
    FileServer* server_;
  };
  Use use() { return Use(*this); }

  // Waits until every serve() and Use has ended, then stops the helper thread and
  // inotify. Once, before destruction.
  Task<void> close();

  const Metrics& metrics() const;

 private:
  class State;
  explicit FileServer(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace terrace::web
