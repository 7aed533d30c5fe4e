#pragma once

// Sends and receives the records of records.h over a SOCK_SEQPACKET socket.
// Non-blocking: kWouldBlock when the other side is slow or has said nothing. One
// thread per channel.

#include <cstddef>
#include <cstring>
#include <optional>
#include <utility>
#include <vector>

#include "base/descriptor.h"
#include "base/result.h"
#include "program/records.h"

namespace terrace::program {

// Two connected ends, non-blocking, closed on exec.
Result<std::pair<Descriptor, Descriptor>> make_channel();

// One message: a record of some kind, and perhaps a descriptor.
class Received {
 public:
  Received(std::vector<std::byte> bytes, Descriptor descriptor)
      : bytes_(std::move(bytes)), descriptor_(std::move(descriptor)) {}

  Kind kind() const;
  // The record when the message is exactly one of this kind.
  template <Record T>
  std::optional<T> as() const {
    if (bytes_.size() != sizeof(T) || kind() != T::kKind) return std::nullopt;
    T record;
    std::memcpy(&record, bytes_.data(), sizeof record);
    return record;
  }
  // The whole message when it has exactly that size: for what is not a Record.
  bool copy_to(void* target, size_t size) const;
  // Empty when none came.
  Descriptor take_descriptor() { return std::move(descriptor_); }

 private:
  std::vector<std::byte> bytes_;
  Descriptor descriptor_;
};

// kClosed when the other side is gone.
Result<void> send_bytes(int channel, const void* bytes, size_t size, int descriptor);
Result<Received> receive_record(int channel);

// `descriptor` is duplicated into the receiver; -1 is none.
template <Record T>
Result<void> send_record(int channel, const T& record, int descriptor = -1) {
  return send_bytes(channel, &record, sizeof record, descriptor);
}

}  // namespace terrace::program
