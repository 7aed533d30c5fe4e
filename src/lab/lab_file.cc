#include "lab/lab_file.h"

#include <cerrno>

#include "base/file.h"
#include "config/document.h"
#include "config/reader.h"
#include "config/unparsed.h"
#include "topology/forms.h"

namespace terrace::lab {
namespace {

using config::Diagnostics;
using config::Field;
using config::Source;

std::vector<Field> machine_fields(LabMachine& machine) {
  return {
      {.name = "address",
       .about = "Its address in the lab.",
       .slot = &machine.address,
       .form = topology::address(),
       .required = true,
       .example = R"("10.0.0.31")"},
      {.name = "setup",
       .about = "A shell command that root runs in it once, before anything else. It has no network.",
       .slot = &machine.setup,
       .form = topology::command()},
      {.name = "run",
       .about = "A shell command that root runs in it, and again a second after it ended.",
       .slot = &machine.run,
       .form = topology::command()},
      {.name = "ready",
       .about = "A shell command that succeeds in it once it does its work; the site is started after that.",
       .slot = &machine.ready,
       .form = topology::command()},
      {.name = "terrace",
       .about = "Terrace is installed on it: a server that can join the site later.",
       .slot = &machine.terrace,
       .example = "true"},
  };
}

}  // namespace

std::vector<config::Table> lab_tables(LabFile& file) {
  return {
      {.name = "lab",
       .about = "The lab itself.",
       .fields = {{.name = "port",
                   .about = "The port of this machine's loopback on which the site is reached. When it is "
                            "taken, another one is.",
                   .slot = &file.port,
                   .minimum = 1,
                   .maximum = 65'535,
                   .example = "8080"},
                  {.name = "deploy",
                   .about = "The folder that is deployed. Relative to this file.",
                   .slot = &file.deploy,
                   .form = topology::path(),
                   .example = R"("../shop")",
                   .default_words = "the folder of the site file"},
                  {.name = "secrets",
                   .about = "What `${secret:NAME}` in the site file stands for in this lab.",
                   .slot = &file.secrets,
                   .form = topology::variable_text(),
                   .name_form = topology::variable(),
                   .secret = true,
                   .example = R"({ DB_PASSWORD = "for the lab only" })"}}},
      {.name = "machines",
       .about = "Machines beside the servers of the site.",
       .entry =
           [&file](const std::string& name) {
             file.machines.push_back({.name = name});
             return machine_fields(file.machines.back());
           },
       .entry_word = "machine",
       .entry_form = topology::server_name()}};
}

LoadedLabFile load_lab_text(std::string text, const std::string& shown_as) {
  Source source(shown_as, std::move(text));
  Diagnostics diagnostics;
  auto file = std::make_unique<LabFile>();
  const auto document = config::parse_document(source);
  if (!document) {
    config::Diagnostic wrong = document.error();
    config::hide_unparsed(lab_tables(*file), source, wrong);
    diagnostics.add(std::move(wrong));
  } else {
    config::read_tables(*document, lab_tables(*file), {.folder = "/"}, source, diagnostics);
  }
  if (diagnostics.errors() > 0) file.reset();
  diagnostics.sort();
  return {.file = std::move(file), .text = render_text(diagnostics, source)};
}

LoadedLabFile load_lab_file(const std::string& path) {
  Result<std::string> text = read_file(path, config::kFileBytesMax);
  if (text) return load_lab_text(*std::move(text), path);
  if (text.error().system == ENOENT) return {.file = std::make_unique<LabFile>(), .text = ""};
  return {.file = nullptr, .text = "terrace: " + path + " cannot be read: " + describe(text.error()) + "\n"};
}

}  // namespace terrace::lab
