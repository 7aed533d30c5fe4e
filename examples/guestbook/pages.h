#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "entries.h"

namespace guestbook {

constexpr int64_t kEntriesPerPage = 10;

// `&`, `<`, `>` and both quotes as entities: safe as text and in an attribute.
std::string escape(std::string_view text);

// One page of the book: what is on it, and what the form holds.
struct Page {
  std::vector<Entry> entries;
  int64_t number = 1;  // from 1
  int64_t pages = 1;
  int64_t total = 0;  // entries of all pages
  Draft draft;        // what a visitor wrote and must correct; empty otherwise
};

std::string html(const Page& page);
std::string json(const Page& page);
std::string json(const Entry& entry);

}  // namespace guestbook
