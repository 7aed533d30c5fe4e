#pragma once

#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "http/exchange.h"
#include "web/accept_encoding.h"
#include "web/error_pages.h"
#include "web/files.h"
#include "web/range.h"
#include "web/representation.h"

namespace terrace::web {

// Turns what was found into answers. Each function answers the exchange wholly;
// its Task is ready at once, without a frame, when nothing had to be waited for.
// Entries are kept alive until their answer is out; the exchange takes the
// fields of a head before begin() or respond() return.
class Responder {
 public:
  // `files` may be null.
  Responder(const Representation& representation, const ErrorPages& pages, Files* files)
      : representation_(representation), pages_(pages), files_(files) {}

  // A GET or HEAD of a file: preconditions, ranges, the best coding.
  Task<void> file(http::Exchange& exchange, EntryRef entry);
  // `more`: fields of this answer beside those that every error has; their texts must
  // stay until the answer is out.
  Task<void> error(http::Exchange& exchange, int status, std::span<const http::Field> more = {});
  Task<void> redirect(http::Exchange& exchange, int status, std::string_view location);
  // What OPTIONS * gets: no body, only Allow.
  Task<void> allow(http::Exchange& exchange, std::string_view methods);

 private:
  struct Choice {
    Coding coding = Coding::kIdentity;
    bool acceptable = true;
  };
  static Choice choose(const Entry& entry, const http::Fields& fields);
  Task<void> error_page(http::Exchange& exchange, int status, std::span<const http::Field> more,
                        EntryRef page);
  Task<void> error_after_load(http::Exchange& exchange, int status, std::vector<http::Field> more);
  Task<void> file_compressed(http::Exchange& exchange, EntryRef entry, Coding coding);
  Task<void> variant(http::Exchange& exchange, EntryRef entry, const Variant& variant);
  Task<void> not_modified(http::Exchange& exchange, const Variant& variant);
  Task<void> ranges(http::Exchange& exchange, EntryRef entry, const Variant& variant, const Ranges& ranges);
  Task<void> unsatisfiable(http::Exchange& exchange, uint64_t size);
  Task<void> part(http::Exchange& exchange, EntryRef entry, const Variant& variant, const ByteRange& range);
  Task<void> parts(http::Exchange& exchange, EntryRef entry, const Variant& variant, Ranges ranges);

  const Representation& representation_;
  const ErrorPages& pages_;
  Files* files_;
};

}  // namespace terrace::web
