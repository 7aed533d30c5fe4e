#include "config/document.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <optional>

#include "config/scan.h"

// The only place that includes toml++: it is slow to compile.
#define TOML_EXCEPTIONS 0
#define TOML_HEADER_ONLY 1
#include <toml++/toml.h>

namespace terrace::config {
namespace {

Position position_of(const toml::source_position& at) {
  return {static_cast<int>(at.line), static_cast<int>(at.column)};
}

Span span_of(const toml::source_region& region) {
  return {position_of(region.begin), position_of(region.end)};
}

Node::Kind kind_of(const toml::node& node) {
  switch (node.type()) {
    case toml::node_type::table:
      return Node::Kind::kTable;
    case toml::node_type::array:
      return Node::Kind::kArray;
    case toml::node_type::string:
      return Node::Kind::kString;
    case toml::node_type::integer:
      return Node::Kind::kInteger;
    case toml::node_type::floating_point:
      return Node::Kind::kFloat;
    case toml::node_type::boolean:
      return Node::Kind::kBool;
    default:
      return Node::Kind::kDate;
  }
}

// Copies toml++'s tree into ours; stops at the limits.
class Copy {
 public:
  Node copy(const toml::node& from, int depth) {
    Node node{.kind = kind_of(from), .where = span_of(from.source())};
    if (++values_ > kValuesMax) refuse(from, fmt::format("the file holds more than {} values", kValuesMax));
    if (depth > kDepthMax) refuse(from, fmt::format("the file nests more than {} levels deep", kDepthMax));
    if (refused_) return node;
    if (const auto* text = from.as_string()) node.text = text->get();
    if (const auto* number = from.as_integer()) node.integer = number->get();
    if (const auto* truth = from.as_boolean()) node.boolean = truth->get();
    if (const auto* array = from.as_array()) copy_elements(node, *array, depth);
    if (const auto* table = from.as_table()) copy_members(node, *table, depth);
    return node;
  }
  const std::optional<Diagnostic>& refused() const { return refused_; }

 private:
  void copy_elements(Node& node, const toml::array& array, int depth) {
    for (const toml::node& element : array) node.children.push_back(copy(element, depth + 1));
  }

  // toml++ keeps the members of a table by name; people read them in the order of the file.
  void copy_members(Node& node, const toml::table& table, int depth) {
    for (auto&& [key, value] : table) {
      Node child = copy(value, depth + 1);
      child.name = key.str();
      child.key = span_of(key.source());
      node.children.push_back(std::move(child));
    }
    std::ranges::sort(node.children, {}, [](const Node& child) { return child.key.begin; });
  }

  void refuse(const toml::node& at, std::string message) {
    if (refused_) return;
    refused_ = Diagnostic{.code = "E003", .message = std::move(message), .where = span_of(at.source())};
  }

  int values_ = 0;
  std::optional<Diagnostic> refused_;
};

struct Rewrite {
  std::string_view theirs;
  std::string_view ours;
};

// toml++ speaks of its own states; these are the mistakes that people make.
constexpr std::string_view kNoValue = "this is not a value; a text needs quotes around it";
constexpr std::string_view kTwice = "this is written twice in the file";
constexpr std::array<Rewrite, 17> kRewrites{{
    {"could not determine value type", kNoValue},
    {"is not representable", "this number is too large"},
    {"expected value-terminator", kNoValue},
    {"Error while parsing boolean", kNoValue},
    {"Error while parsing floating-point", kNoValue},
    {"integer: expected", kNoValue},
    {"date", "this is not a date, nor another value; a text needs quotes around it"},
    {"Error while parsing string: encountered end-of-file", "the quote that opens this text is never closed"},
    {"unescaped control characters", "a text ends on its line; control characters are written as \\uXXXX"},
    {"unknown escape sequence", "`\\` begins an escape: write `\\\\`, or the text in single quotes"},
    {"Error while parsing key-value pair: encountered end-of-file", "a key needs `=` and a value"},
    {"expected '='", "a key needs `=` and a value"},
    {"expected ']'", "a `]` is missing"},
    {"encountered end-of-file", "the file ends before this is complete"},
    {"expected a comment or whitespace",
     "nothing more may follow on this line; a text needs quotes around it"},
    {"cannot redefine existing", kTwice},
    {"expected keys, tables, whitespace or comments", "a line begins with a key, `[` or `#`"},
}};

std::string in_our_words(std::string_view description) {
  for (const Rewrite& rewrite : kRewrites) {
    if (description.find(rewrite.theirs) != std::string_view::npos) return std::string(rewrite.ours);
  }
  const size_t colon = description.find(": ");
  return std::string(colon == std::string_view::npos ? description : description.substr(colon + 2));
}

Diagnostic syntax_error(const toml::parse_error& error, const Source& source) {
  Diagnostic diagnostic{.code = "E001", .message = "this is not valid TOML"};
  diagnostic.where = span_of(error.source());
  diagnostic.label = in_our_words(error.description());
  if (error.description().find("utf-8") != std::string_view::npos) {
    diagnostic.code = "E004";
    diagnostic.message = "the file is not UTF-8 text";
    diagnostic.label = "this byte belongs to no character";
  }
  // The second definition of a key is reported at its end: a reader looks for its line.
  if (diagnostic.label == kTwice) diagnostic.where.begin.column = 1;
  const int last = std::max(1, source.lines());
  if (diagnostic.where.begin.line > last) diagnostic.where.begin = diagnostic.where.end = {last, 1};
  return diagnostic;
}

}  // namespace

const char* kind_name(Node::Kind kind) {
  constexpr std::array kNames{"a table",    "a list",        "a string", "a whole number",
                              "a fraction", "true or false", "a date"};
  return kNames[static_cast<size_t>(kind)];
}

std::expected<Node, Diagnostic> parse_document(const Source& source) {
  if (auto refused = over_limits(source)) return std::unexpected(*std::move(refused));
  const toml::parse_result parsed = toml::parse(std::string_view(source.text()));
  if (!parsed) return std::unexpected(syntax_error(parsed.error(), source));
  Copy copy;
  Node root = copy.copy(parsed.table(), 0);
  if (copy.refused()) return std::unexpected(*copy.refused());
  return root;
}

}  // namespace terrace::config
