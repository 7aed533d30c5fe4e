#include "web/accept_encoding.h"

#include <algorithm>
#include <optional>

#include "http/syntax.h"

namespace terrace::web {
namespace {

constexpr int16_t kOne = 1000;

// qvalue = "0" [ "." 0*3DIGIT ] / "1" [ "." 0*3"0" ], RFC 9110 section 12.4.2.
std::optional<int16_t> quality(std::string_view text) {
  if (text.empty() || text.size() > 5 || (text[0] != '0' && text[0] != '1')) return std::nullopt;
  if (text.size() > 1 && text[1] != '.') return std::nullopt;
  int value = (text[0] - '0') * kOne;
  int place = 100;
  for (const char c : text.substr(std::min<size_t>(2, text.size()))) {
    if (!http::is_digit(c)) return std::nullopt;
    value += (c - '0') * place;
    place /= 10;
  }
  if (value > kOne) return std::nullopt;
  return static_cast<int16_t>(value);
}

std::optional<Coding> coding_of(std::string_view name) {
  if (http::equals_ignoring_case(name, "gzip") || http::equals_ignoring_case(name, "x-gzip"))
    return Coding::kGzip;
  if (http::equals_ignoring_case(name, "br")) return Coding::kBrotli;
  if (http::equals_ignoring_case(name, "zstd")) return Coding::kZstd;
  if (http::equals_ignoring_case(name, "identity")) return Coding::kIdentity;
  return std::nullopt;
}

}  // namespace

std::string_view coding_name(Coding coding) {
  static constexpr std::array<std::string_view, kCodings> kNames = {"identity", "gzip", "zstd", "br"};
  return kNames[static_cast<size_t>(coding)];
}

std::string_view coding_suffix(Coding coding) {
  static constexpr std::array<std::string_view, kCodings> kSuffixes = {"", ".gz", ".zst", ".br"};
  return kSuffixes[static_cast<size_t>(coding)];
}

void AcceptEncoding::add(std::string_view value) {
  for (;;) {
    const size_t comma = value.find(',');
    add_element(http::trim(value.substr(0, comma)));
    if (comma == std::string_view::npos) return;
    value.remove_prefix(comma + 1);
  }
}

// "gzip", "br;q=0.5", "*;q=0". An element that makes no sense is as if it were not there.
void AcceptEncoding::add_element(std::string_view element) {
  const size_t semicolon = element.find(';');
  const std::string_view name = http::trim(element.substr(0, semicolon));
  int16_t weight = kOne;
  if (semicolon != std::string_view::npos) {
    const std::string_view parameter = http::trim(element.substr(semicolon + 1));
    if (!http::equals_ignoring_case(parameter.substr(0, 2), "q=")) return;
    const std::optional<int16_t> parsed = quality(parameter.substr(2));
    if (!parsed) return;
    weight = *parsed;
  }
  if (name == "*") any_ = weight;
  if (const std::optional<Coding> coding = coding_of(name)) weights_[static_cast<size_t>(*coding)] = weight;
}

int AcceptEncoding::weight(Coding coding) const {
  const int16_t named = weights_[static_cast<size_t>(coding)];
  if (named != kUnnamed) return named;
  if (coding == Coding::kIdentity) return any_ == 0 ? 0 : 1;
  return any_ == kUnnamed ? 0 : any_;
}

Coding AcceptEncoding::choose(CodingSet available, CodingSet preferred) const {
  Coding best = Coding::kIdentity;
  int best_rank = -1;
  for (size_t i = 0; i < kCodings; ++i) {
    const auto coding = static_cast<Coding>(i);
    const int weight = available.has(coding) ? this->weight(coding) : 0;
    if (weight == 0) continue;
    const int rank = weight * 16 + (preferred.has(coding) ? 8 : 0) + static_cast<int>(i);
    if (rank > best_rank) best = coding;
    best_rank = std::max(rank, best_rank);
  }
  return best;
}

}  // namespace terrace::web
