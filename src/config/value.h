#pragma once

#include <optional>
#include <string>

#include "config/diagnostic.h"
#include "config/document.h"
#include "config/field.h"
#include "config/reader.h"

namespace terrace::config {

// Reads one value into the variable that its field is bound to: type, `${…}`,
// form, range. A part of the reader, which finds the fields.
class ValueReader {
 public:
  ValueReader(const ReadOptions& options, Origins& origins, Diagnostics& diagnostics)
      : options_(options), origins_(origins), diagnostics_(diagnostics) {}

  // `path` is the field's, "app.health". `resolve`: whether `${…}` is replaced.
  void read(const Node& node, const Field& field, const std::string& path, bool resolve);

 private:
  // A value that is read: a field's, or an element of it.
  struct At {
    const Field& field;
    std::string path;    // of its origin
    std::string name;    // in messages: "`app.health`", "each of `web.listen`"
    std::string whole;   // without "each of"
    std::string wanted;  // its type, in words
    Form form;
  };
  // A string after interpolation.
  struct Value {
    std::string text;
    bool hidden = false;      // of a field that is not secret, but came through `${…}`
    bool unresolved = false;  // it holds `${…}` and is left alone
  };

  void set(std::monostate, const Node&, const At&) {}
  void set(std::string* slot, const Node& node, const At& at);
  void set(bool* slot, const Node& node, const At& at);
  void set(int* slot, const Node& node, const At& at);
  void set(int64_t* slot, const Node& node, const At& at);
  void set(std::chrono::milliseconds* slot, const Node& node, const At& at);
  void set(std::vector<std::string>* slot, const Node& node, const At& at);
  void set(std::vector<Named>* slot, const Node& node, const At& at);
  void set(const Choice& slot, const Node& node, const At& at);
  void set(const Choices& slot, const Node& node, const At& at);

  At element(const Node& node, const At& list, size_t index);
  At entry(const Node& node, const At& table);
  std::optional<Value> string_of(const Node& node, const At& at);
  std::optional<Value> interpolated(const Node& node, const At& at);
  Value unresolved(const Node& node, const At& at);
  // A warning at the value, which stays as it is written.
  Value left_alone(const Node& node, const At& at, const InterpolationError& why);
  std::optional<size_t> word_of(const std::vector<Word>& words, const Node& node, const At& at);
  bool is(Node::Kind kind, const Node& node, const At& at);
  bool in_range(int64_t value, const Node& node, const At& at, bool hidden, std::string (*show)(int64_t));
  bool count_fits(const Node& node, const At& at);
  // An error at the value, which counts as wrong from then on.
  void refuse(std::string code, const Node& node, const At& at, std::string message, std::string label,
              std::vector<std::string> notes = {});

  const ReadOptions& options_;
  Origins& origins_;
  Diagnostics& diagnostics_;
  bool resolve_ = true;
};

}  // namespace terrace::config
