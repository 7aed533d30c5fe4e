#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "http/message.h"

namespace terrace::http {

// Writes HTTP/1 heads into a buffer of fixed size. Writing past its end sets
// overflow() and nothing is written from then on. Never writes CR, LF or NUL from
// a value: the caller passes values that a parser of ours accepted or that we made.
class HeadWriter {
 public:
  explicit HeadWriter(std::span<char> into) : at_(into.data()), begin_(at_), end_(at_ + into.size()) {}

  void text(std::string_view text);
  void number(uint64_t value);
  void field(std::string_view name, std::string_view value);
  void field(std::string_view name, uint64_t value);
  void end() { text("\r\n"); }
  // "HTTP/1.1 200 OK\r\n"
  // The status has three digits. An unknown one gets an empty reason.
  void status_line(int status);
  // "GET /path HTTP/1.1\r\n"
  void request_line(std::string_view method, std::string_view target);

  bool overflow() const { return overflow_; }
  std::string_view written() const { return {begin_, static_cast<size_t>(at_ - begin_)}; }

 private:
  // The next `bytes` bytes of the buffer, or null and overflow.
  char* room(size_t bytes);

  char* at_;
  char* begin_;
  char* end_;
  bool overflow_ = false;
};

// "1f4\r\n": the line before a chunk of `bytes` bytes. Returns its length; `into` holds 18 bytes or more.
size_t write_chunk_line(uint64_t bytes, std::span<char> into);

}  // namespace terrace::http
