#pragma once

// Where `terrace deploy` takes a release from: a folder, or a tar archive on standard
// input. Both come out as the bytes of one plain tar archive. For the command line: it
// blocks.

#include <sys/types.h>

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/descriptor.h"
#include "base/result.h"
#include "program/decompress.h"
#include "program/tar_end.h"

namespace terrace::program {

class ReleaseSource {
 public:
  // Starts tar(1) for that folder, without `.git`, `.terrace` and `left_out` (paths
  // below it).
  static Result<ReleaseSource> folder(const std::string& path, const std::vector<std::string>& left_out);
  // Takes it from standard input: plain, gzip or zstd.
  static ReleaseSource standard_input();

  ReleaseSource(ReleaseSource&&) = default;
  ~ReleaseSource();

  // Gives all of it to `sink`, piece by piece. An error of `sink` ends it. Else the
  // error says, for a person, why it is no whole archive.
  Result<void> read(const Decompressor::Sink& sink);
  uint64_t entries() const { return end_.entries(); }

 private:
  ReleaseSource(Descriptor input, pid_t tar) : input_(std::move(input)), tar_(tar) {}
  Result<void> read_all(const Decompressor::Sink& sink);
  Result<void> wait_for_tar();

  Descriptor input_;
  pid_t tar_ = 0;  // 0: none
  TarEnd end_;
};

}  // namespace terrace::program
