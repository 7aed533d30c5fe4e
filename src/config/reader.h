#pragma once

#include <map>
#include <span>
#include <string>

#include "config/diagnostic.h"
#include "config/document.h"
#include "config/field.h"
#include "config/interpolate.h"

namespace terrace::config {

// Where a value stands in the file, for the rules that look across fields.
struct Origin {
  Span key;
  Span value;
  // It came through `${…}`, or its field is secret: no message shows it.
  bool hidden = false;
  // Its table is not resolved here: the variable has the text as it stands in the
  // file or, for a secret, what it had before.
  bool unresolved = false;
  // It was refused; the variable has what it had before.
  bool wrong = false;
};

// By path: "web", "web.listen", "web.listen.0" (an element), "app.env.NAME",
// "servers.app1.roles".
class Origins {
 public:
  void add(std::string path, Origin origin) { all_.emplace(std::move(path), origin); }
  void mark(const std::string& path, bool Origin::* what) { all_[path].*what = true; }
  const Origin* find(const std::string& path) const {
    const auto found = all_.find(path);
    return found != all_.end() ? &found->second : nullptr;
  }
  const std::map<std::string, Origin>& all() const { return all_; }

 private:
  std::map<std::string, Origin> all_;
};

struct ReadOptions {
  std::string folder;  // that `${file:…}` is relative to; absolute
  Inputs inputs = real_inputs();
  // Tables whose `${…}` are replaced; those of the others stay as they are, and
  // are not checked. Their secrets are not read at all.
  std::function<bool(std::string_view table)> resolve = [](std::string_view) { return true; };
};

// Reads a document into the variables that `tables` are bound to, and reports
// every mistake. Variables of keys that are missing or wrong keep what they held.
// What the document holds of secrets is hidden in `source`.
Origins read_tables(const Node& document, std::span<const Table> tables, const ReadOptions& options,
                    Source& source, Diagnostics& diagnostics);

}  // namespace terrace::config
