#pragma once

#include <cstdint>
#include <expected>
#include <string>
#include <vector>

#include "config/diagnostic.h"
#include "config/source.h"

namespace terrace::config {

// One value of a TOML file with the places of its key and of itself.
struct Node {
  enum class Kind : uint8_t { kTable, kArray, kString, kInteger, kFloat, kBool, kDate };
  Kind kind = Kind::kTable;
  std::string name;  // its key; empty for the root and for elements of an array
  Span key;
  Span where;  // a table with a header: the header
  std::string text;
  int64_t integer = 0;
  bool boolean = false;
  std::vector<Node> children;  // members or elements, in the order of the file
};

// "a string", "a table": for messages.
const char* kind_name(Node::Kind kind);

// What a file may hold at most. A site file is a page of text; what is larger is
// a mistake or an attack.
constexpr size_t kFileBytesMax = 1 << 20;
constexpr size_t kLineBytesMax = 64 << 10;
constexpr int kValuesMax = 10'000;
constexpr int kDepthMax = 8;

// Parses a TOML 1.0 file. The error is the first of syntax (E001), of size (E003)
// or of encoding (E004); its text may quote the file, see hide_unparsed().
std::expected<Node, Diagnostic> parse_document(const Source& source);

}  // namespace terrace::config
