#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "bench/socket.h"

namespace terrace::bench {

// The command line of a tool: `--name value` pairs only. What is not known, not
// a number or not given although needed ends the program with the usage text:
// the tools are started by bench/run or by someone who reads it.
class Arguments {
 public:
  // `usage` names every option as `--name`, and no other is accepted.
  Arguments(int count, char** values, const char* usage);

  bool has(const std::string& name) const { return values_.contains(name); }
  std::string text(const std::string& name, const std::string& otherwise) const;
  double number(const std::string& name, double otherwise) const;
  uint64_t whole(const std::string& name, uint64_t otherwise) const;
  Endpoint endpoint(const std::string& name) const;

  // Prints `problem` and the usage, and ends with status 2.
  [[noreturn]] void refuse(const std::string& problem) const;

 private:
  const char* usage_;
  std::map<std::string, std::string> values_;
};

[[noreturn]] void exit_with(const Error& error);

// The value, or the end of the program with the error's text.
template <class T>
T value_or_exit(Result<T> result) {
  if (!result) exit_with(result.error());
  return std::move(*result);
}

}  // namespace terrace::bench
