#include "program/completions.h"

#include <fmt/format.h>

namespace terrace::program {
namespace {

bool is_argument(const OptionWords& option) { return !option.names.front().starts_with('-'); }

bool takes_file(const OptionWords& option) {
  return option.value == "FILE" || option.names.front() == "FILE";
}

// In single quotation marks, for sh, zsh and fish.
std::string quoted(std::string_view text) {
  std::string out = "'";
  for (const char c : text) {
    if (c == '\'') {
      out += R"('\'')";
    } else {
      out += c;
    }
  }
  return out + "'";
}

// zsh ends a description at "]" and an element at ":".
std::string zsh_words(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '[' || c == ']' || c == ':' || c == '\\') out += '\\';
    out += c;
  }
  return out;
}

std::string option_names(const CommandWords& command) {
  std::string names;
  for (const OptionWords& option : command.options) {
    if (is_argument(option)) continue;
    for (const std::string& name : option.names) names += (names.empty() ? "" : " ") + name;
  }
  return names;
}

std::string zsh_option(const OptionWords& option, const std::string& name) {
  const std::string value = option.value.empty() ? ""
                            : takes_file(option) ? ":" + option.value + ":_files"
                                                 : ":" + option.value + ":";
  return "        " + quoted(fmt::format("{}[{}]{}", name, zsh_words(option.about), value));
}

}  // namespace

std::string bash_completion(std::span<const CommandWords> commands) {
  std::string names;
  std::string cases;
  for (const CommandWords& command : commands) {
    names += (names.empty() ? "" : " ") + command.name;
    cases += fmt::format("    {}) words={} ;;\n", command.name, quoted(option_names(command)));
  }
  return fmt::format(R"(# Made by `terrace generate bash`.
_terrace() {{
  local word=${{COMP_WORDS[COMP_CWORD]}} before=${{COMP_WORDS[COMP_CWORD - 1]}} words
  COMPREPLY=()
  if [ "$COMP_CWORD" = 1 ]; then
    mapfile -t COMPREPLY < <(compgen -W {} -- "$word")
    return
  fi
  case $before in
    --file) mapfile -t COMPREPLY < <(compgen -f -- "$word"); return ;;
  esac
  case ${{COMP_WORDS[1]}} in
{}    *) return ;;
  esac
  case $word in
    -*) mapfile -t COMPREPLY < <(compgen -W "$words" -- "$word") ;;
    *) mapfile -t COMPREPLY < <(compgen -f -- "$word") ;;
  esac
}}
complete -o filenames -F _terrace terrace
)",
                     quoted(names), cases);
}

std::string zsh_completion(std::span<const CommandWords> commands) {
  std::string names;
  std::string cases;
  for (const CommandWords& command : commands) {
    names += fmt::format("    {}\n", quoted(zsh_words(command.name) + ":" + command.about));
    cases += fmt::format("    {})\n      _arguments", command.name);
    for (const OptionWords& option : command.options) {
      if (is_argument(option)) {
        cases += fmt::format(" \\\n        {}", quoted(fmt::format("::{}:{}", zsh_words(option.names.front()),
                                                                   takes_file(option) ? "_files" : "")));
      }
      for (const std::string& name : option.names)
        if (!is_argument(option)) cases += " \\\n" + zsh_option(option, name);
    }
    cases += "\n      ;;\n";
  }
  return fmt::format(R"(#compdef terrace
# Made by `terrace generate zsh`.
local -a commands
commands=(
{})
if (( CURRENT == 2 )); then
  _describe command commands
else
  local command=$words[2]
  shift words
  (( CURRENT-- ))
  case $command in
{}  esac
fi
)",
                     names, cases);
}

std::string fish_completion(std::span<const CommandWords> commands) {
  std::string out = "# Made by `terrace generate fish`.\ncomplete -c terrace -f\n";
  for (const CommandWords& command : commands) {
    out += fmt::format("complete -c terrace -n __fish_use_subcommand -a {} -d {}\n", command.name,
                       quoted(command.about));
    for (const OptionWords& option : command.options) {
      if (is_argument(option)) continue;
      out += fmt::format("complete -c terrace -n '__fish_seen_subcommand_from {}'", command.name);
      for (const std::string& name : option.names)
        out += name.starts_with("--") ? " -l " + name.substr(2) : " -s " + name.substr(1);
      if (!option.value.empty()) out += takes_file(option) ? " -r -F" : " -x";
      out += fmt::format(" -d {}\n", quoted(option.about));
    }
  }
  return out;
}

}  // namespace terrace::program
