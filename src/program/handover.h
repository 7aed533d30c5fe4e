#pragma once

// What a supervisor leaves to the program that takes its place.
//
// An upgrade keeps the supervisor's process: it executes the installed binary
// (execve(2)), so that systemd's main process, the parent of all children and the
// owner of all sockets stay who they are. What the new program must know is one JSON
// text in a memfd; the descriptors that it names stay open across the call. JSON and
// not a record, because the two are different versions. What a reader does not know
// it ignores; `format` grows only when that would be wrong.
//
// The supervisor's thread only.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "program/folders.h"
#include "program/records.h"

namespace terrace::program {

constexpr int kHandoverFormat = 1;
constexpr size_t kHandoverBytesMax = 4 << 20;

struct Handover {
  // A descriptor is a number here: whoever reads the text owns what it names.
  struct Child {
    pid_t pid = 0;  // 0: none lives
    uint32_t starts = 0;
    int channel = -1;
    bool told = false;  // of a retiring worker: kRetireSignal was sent
  };
  struct Socket {
    Purpose purpose = Purpose::kWeb;
    std::string requested;
    std::string bound;
    std::vector<int> sockets;
  };
  struct Instance {
    InstanceRunning record;
    int output = -1;
    int reports = -1;
    uint32_t grace_ms = 0;
    std::vector<std::string> groups;
    std::optional<InstanceEnded> ended;
  };
  struct Text {
    uint32_t version = 0;
    uint64_t bytes = 0;
    std::string path;
    int text = -1;
  };

  std::string version;  // of the program that wrote it, for people
  std::string program;  // the path that is executed
  uint32_t upgrades = 0;
  std::string site_path;
  std::string server;  // as in UpOptions
  Folders folders;
  Isolation isolation = Isolation::kNamespace;
  uint32_t cores = 1;           // sockets per address, reactor threads of the worker
  uint64_t descriptors = 1024;  // soft limit of open files that instances begin with
  bool serving = false;
  int lock = -1;
  Child controller;
  Child worker;
  Child member;
  std::vector<Child> retiring;  // workers before it
  std::vector<Socket> listeners;
  std::vector<Instance> instances;
  std::vector<std::string> left_groups;
  std::optional<Text> site;
  int secrets = -1;  // those that came with it
};

std::string handover_text(const Handover& handover);
// kInvalid when it is none, or of a format that this program does not know.
Result<Handover> read_handover(std::string_view text);

// Every descriptor that it names.
std::vector<int> descriptors_of(const Handover& handover);
// Whether they survive execve(2).
void keep_over_exec(const Handover& handover, bool keep);

}  // namespace terrace::program
