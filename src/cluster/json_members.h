#pragma once

// Reads the members of a JSON object strictly: each is asked for once by name and type,
// and complete() says whether all were there, of the right type, and no others. For
// .cc files that include nlohmann/json.hpp.

#include <cstdint>
#include <string>

#include "base/assert.h"

namespace terrace::cluster {

template <class Json>
class JsonMembers {
 public:
  explicit JsonMembers(const Json& object) : object_(object), good_(object.is_object()) {}

  bool has(const char* name) const { return good_ && object_.contains(name); }
  // The member, which stays the object's; null when it is missing.
  const Json* any(const char* name) {
    if (!has(name)) return refuse();
    ++taken_;
    return &object_[name];
  }
  std::string text(const char* name, size_t bytes_max) {
    const Json* value = any(name);
    if (value == nullptr) return {};
    const auto* text = value->template get_ptr<const std::string*>();
    if (text == nullptr || text->size() > bytes_max) return refuse(), std::string();
    return *text;
  }
  // A whole number from 0 to 2^53, which every reader of JSON keeps exactly (RFC 8259 section 6).
  int64_t number(const char* name) {
    constexpr uint64_t kMax = uint64_t{1} << 53;
    const Json* value = any(name);
    if (value == nullptr) return 0;
    if (!value->is_number_unsigned() || value->template get<uint64_t>() > kMax) return refuse(), 0;
    return value->template get<int64_t>();
  }
  bool boolean(const char* name) {
    const Json* value = any(name);
    if (value == nullptr) return false;
    if (!value->is_boolean()) return refuse(), false;
    return value->template get<bool>();
  }
  // A list of at most `count_max` values; null when it is none.
  const Json* list(const char* name, size_t count_max) {
    const Json* value = any(name);
    if (value == nullptr) return nullptr;
    return value->is_array() && value->size() <= count_max ? value : refuse();
  }
  const Json* refuse() {
    good_ = false;
    return nullptr;
  }
  bool good() const { return good_; }
  bool complete() const { return good_ && taken_ == object_.size(); }

 private:
  const Json& object_;
  bool good_;
  size_t taken_ = 0;
};

}  // namespace terrace::cluster
