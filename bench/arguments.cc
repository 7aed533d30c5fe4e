#include "bench/arguments.h"

#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace terrace::bench {

Arguments::Arguments(int count, char** values, const char* usage) : usage_(usage) {
  for (int i = 1; i < count; i += 2) {
    const std::string name = values[i];
    // The space ends the name, so that --port does not pass for --ports.
    if (!name.starts_with("--") || std::strstr(usage, (name + " ").c_str()) == nullptr) {
      refuse("unknown option " + name);
    }
    if (i + 1 == count) refuse(name + " needs a value");
    values_[name] = values[i + 1];
  }
}

std::string Arguments::text(const std::string& name, const std::string& otherwise) const {
  const auto found = values_.find(name);
  return found != values_.end() ? found->second : otherwise;
}

double Arguments::number(const std::string& name, double otherwise) const {
  const auto found = values_.find(name);
  if (found == values_.end()) return otherwise;
  char* end = nullptr;
  const double value = std::strtod(found->second.c_str(), &end);
  if (end == found->second.c_str() || *end != '\0' || !(value >= 0)) {
    refuse(name + " wants a number of at least 0");
  }
  return value;
}

uint64_t Arguments::whole(const std::string& name, uint64_t otherwise) const {
  return static_cast<uint64_t>(number(name, static_cast<double>(otherwise)));
}

Endpoint Arguments::endpoint(const std::string& name) const {
  if (!has(name)) refuse(name + " is needed");
  return value_or_exit(Endpoint::parse(text(name, "")));
}

void Arguments::refuse(const std::string& problem) const {
  (void)std::fprintf(stderr, "%s\n%s", problem.c_str(), usage_);
  std::exit(2);
}

void exit_with(const Error& error) {
  (void)std::fprintf(stderr, "%s\n", describe(error).c_str());
  std::exit(1);
}

}  // namespace terrace::bench
