#pragma once

namespace terrace::program {

// A member of what the controller answered; T() when it is missing or of another
// type, as another version of Terrace may have answered.
template <class T, class Json>
T value_of(const Json& json, const char* key) {
  const auto found = json.find(key);
  if (found == json.end()) return T();
  try {
    return found->template get<T>();
  } catch (const typename Json::exception&) {
    return T();
  }
}

}  // namespace terrace::program
