#pragma once

// ASSERT stays on in release builds and is for our own bugs only: no input, no
// peer and no file can trip it. It prints the place and aborts, so that the
// supervisor starts the process anew.
#define ASSERT(condition) \
  (__builtin_expect(!(condition), 0) ? ::terrace::assert_failed(#condition, __FILE__, __LINE__) : (void)0)

namespace terrace {
[[noreturn]] void assert_failed(const char* condition, const char* file, int line);
}
