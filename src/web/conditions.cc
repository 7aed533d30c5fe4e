#include "web/conditions.h"

#include <optional>

#include "http/syntax.h"
#include "web/date.h"

namespace terrace::web {
namespace {

using http::Field;
using http::Fields;
using http::HeaderId;

enum class Comparison : uint8_t { kStrong, kWeak };

// Takes one entity-tag and the comma after it off the front. A comma may stand
// within the quotes. Empty when what follows is no tag.
std::string_view next_tag(std::string_view& list) {
  while (!list.empty() && (list[0] == ',' || http::is_space(list[0]))) list.remove_prefix(1);
  const size_t open = list.starts_with("W/") ? 2 : 0;
  const size_t close = open < list.size() && list[open] == '"' ? list.find('"', open + 1) : list.npos;
  if (close == list.npos) {
    list = {};
    return {};
  }
  const std::string_view tag = list.substr(0, close + 1);
  list.remove_prefix(close + 1);
  return tag;
}

// RFC 9110 section 8.8.3.2; ours is always strong.
bool tag_matches(std::string_view tag, std::string_view etag, Comparison comparison) {
  if (comparison == Comparison::kWeak && tag.starts_with("W/")) tag.remove_prefix(2);
  return tag == etag;
}

bool value_matches(std::string_view value, std::string_view etag, Comparison comparison) {
  if (http::trim(value) == "*") return true;  // the representation exists
  while (!value.empty()) {
    if (tag_matches(next_tag(value), etag, comparison)) return true;
  }
  return false;
}

// nullopt when there is no such field; a list may be spread over several.
std::optional<bool> tags_match(const Fields& fields, HeaderId id, std::string_view etag,
                               Comparison comparison) {
  std::optional<bool> result;
  for (const Field& field : fields) {
    if (field.id == id) result = result.value_or(false) || value_matches(field.value, etag, comparison);
  }
  return result;
}

std::optional<std::time_t> date_in(const Fields& fields, HeaderId id, std::time_t now) {
  const Field* field = fields.find(id);
  return field != nullptr ? parse_date(field->value, now) : std::nullopt;
}

}  // namespace

Outcome evaluate_conditions(const Fields& fields, const Validators& validators, std::time_t now) {
  const std::optional<bool> if_match =
      tags_match(fields, HeaderId::kIfMatch, validators.etag, Comparison::kStrong);
  if (if_match) {
    if (!*if_match) return Outcome::kPreconditionFailed;
  } else if (const auto date = date_in(fields, HeaderId::kIfUnmodifiedSince, now)) {
    if (validators.modified > *date) return Outcome::kPreconditionFailed;
  }
  const std::optional<bool> if_none_match =
      tags_match(fields, HeaderId::kIfNoneMatch, validators.etag, Comparison::kWeak);
  if (if_none_match) return *if_none_match ? Outcome::kNotModified : Outcome::kProceed;
  const std::optional<std::time_t> since = date_in(fields, HeaderId::kIfModifiedSince, now);
  return since && validators.modified <= *since ? Outcome::kNotModified : Outcome::kProceed;
}

bool range_applies(const Fields& fields, const Validators& validators, std::time_t now) {
  const Field* field = fields.find(HeaderId::kIfRange);
  if (field == nullptr) return true;
  std::string_view value = field->value;
  if (value.starts_with('"') || value.starts_with("W/")) {
    return tag_matches(value, validators.etag, Comparison::kStrong);
  }
  // A date is a strong validator only when a second has passed since the change
  // (section 8.8.2.2): two versions of one second cannot be told apart by it.
  const std::optional<std::time_t> date = parse_date(value, now);
  return date && *date == validators.modified && validators.modified < now;
}

}  // namespace terrace::web
