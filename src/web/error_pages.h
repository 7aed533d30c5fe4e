#pragma once

#include <map>
#include <string>
#include <string_view>

#include "base/log.h"
#include "topology/site.h"
#include "web/folder.h"

namespace terrace::web {

// What a client reads when something went wrong: the site's own page where
// [web] errors names one, else ours. Immutable once made; the site's pages are
// those of that moment, and live_path() tells where a newer one would be.
class ErrorPages {
 public:
  ErrorPages() = default;
  // `folder` may be null: then there are no pages of the site's own. One that cannot
  // be read, or has more than kPageBytesMax bytes, is replaced by ours and logged.
  ErrorPages(const topology::WebTable& web, const Folder* folder, const Log& log);
  static constexpr uint64_t kPageBytesMax = topology::kErrorPageBytesMax;

  // As HTML. For a status that we do not know, the page of 500.
  std::string_view html(int status) const;
  // {"status": 404, "error": "Not Found"} and "404 Not Found".
  std::string_view json(int status) const;
  std::string_view text(int status) const;
  // The path of the site's own page, "" when there is none.
  std::string_view live_path(int status) const;

 private:
  struct Page {
    std::string path;
    std::string html;
    std::string json;
    std::string text;
  };
  const Page& page(int status) const;
  std::map<int, Page> pages_;
};

}  // namespace terrace::web
