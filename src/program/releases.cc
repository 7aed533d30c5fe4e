#include "program/releases.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/descriptor.h"
#include "base/file.h"

namespace terrace::program {
namespace {

using Json = nlohmann::json;

constexpr size_t kFileBytesMax = 1 << 20;
constexpr mode_t kFileMode = 0644;
constexpr std::string_view kUnfinished = "Terrace ended in the middle of the deploy";

const char* word(ReleaseState state) {
  switch (state) {
    case ReleaseState::kBuilding:
      return "building";
    case ReleaseState::kReady:
      return "ready";
    case ReleaseState::kFailed:
      return "failed";
  }
  return "";
}

std::optional<ReleaseState> state_of(const std::string& text) {
  for (const ReleaseState each : {ReleaseState::kBuilding, ReleaseState::kReady, ReleaseState::kFailed}) {
    if (text == word(each)) return each;
  }
  return std::nullopt;
}

Json json_of(const Release& release) {
  Json json = {{"number", release.number}, {"made", release.made}, {"state", word(release.state)}};
  if (!release.reason.empty()) json["reason"] = release.reason;
  if (release.bytes != 0) json["bytes"] = release.bytes;
  return json;
}

// Throws what nlohmann throws.
Release release_of(const Json& json) {
  const std::optional<ReleaseState> state = state_of(json.at("state").get<std::string>());
  Release release{.number = json.at("number").get<uint32_t>(),
                  .made = json.at("made").get<int64_t>(),
                  .state = state.value_or(ReleaseState::kFailed),
                  .reason = json.value("reason", ""),
                  .bytes = json.value("bytes", uint64_t{0})};
  return release;
}

// A release that is no longer there cannot serve.
bool makes_sense(const ReleaseTable& table) {
  const bool known = std::ranges::all_of(table.served, [&](uint32_t number) {
    const Release* release = table.find(number);
    return release != nullptr && release->state == ReleaseState::kReady;
  });
  const bool numbered = std::ranges::all_of(
      table.releases, [&](const Release& each) { return each.number > 0 && each.number <= table.last; });
  return known && numbered;
}

}  // namespace

const Release* ReleaseTable::find(uint32_t number) const {
  const auto found = std::ranges::find(releases, number, &Release::number);
  return found == releases.end() ? nullptr : &*found;
}

uint32_t ReleaseTable::begin(int64_t now) {
  releases.push_back({.number = ++last, .made = now, .reason = {}});
  return last;
}

void ReleaseTable::begin(uint32_t number, int64_t now) {
  std::erase(served, number);
  std::erase_if(releases, [number](const Release& each) { return each.number == number; });
  const auto place = std::ranges::upper_bound(releases, number, {}, &Release::number);
  releases.insert(place, {.number = number, .made = now, .reason = {}});
  last = std::max(last, number);
}

void ReleaseTable::fail(uint32_t number, std::string reason) {
  const auto found = std::ranges::find(releases, number, &Release::number);
  if (found == releases.end()) return;
  found->state = ReleaseState::kFailed;
  found->reason = std::move(reason);
  std::erase(served, number);
}

void ReleaseTable::make_ready(uint32_t number, uint64_t bytes) {
  const auto found = std::ranges::find(releases, number, &Release::number);
  if (found == releases.end()) return;
  found->state = ReleaseState::kReady;
  found->bytes = bytes;
}

void ReleaseTable::switch_to(uint32_t number, uint64_t bytes) {
  if (find(number) == nullptr) return;
  make_ready(number, bytes);
  served.push_back(number);
}

void ReleaseTable::serve(uint32_t number) {
  if (number == current()) return;
  if (number == 0) return served.clear();
  if (number == previous()) return served.pop_back();
  std::erase(served, number);
  served.push_back(number);
}

void ReleaseTable::go_back(std::string reason) {
  if (served.empty()) return;
  const uint32_t leaving = served.back();
  served.pop_back();
  if (!reason.empty()) fail(leaving, std::move(reason));
}

bool ReleaseTable::give_up_unfinished() {
  bool any = false;
  for (Release& each : releases) {
    if (each.state != ReleaseState::kBuilding) continue;
    each.state = ReleaseState::kFailed;
    each.reason = kUnfinished;
    any = true;
  }
  return any;
}

void ReleaseTable::trim() {
  size_t ready = 0;
  size_t failed = 0;
  const uint32_t now = current();
  const uint32_t before = previous();
  std::vector<Release> kept;
  for (auto each = releases.rbegin(); each != releases.rend(); ++each) {
    bool keep = each->number == now || each->number == before;
    if (each->state == ReleaseState::kReady) keep |= ++ready <= kReleasesKept;
    if (each->state == ReleaseState::kFailed) keep |= ++failed <= kFailuresRemembered;
    if (each->state == ReleaseState::kBuilding || keep) kept.push_back(*each);
  }
  std::ranges::reverse(kept);
  releases = std::move(kept);
  std::erase_if(served, [this](uint32_t number) { return find(number) == nullptr; });
}

std::string text_of(const ReleaseTable& table) {
  Json releases = Json::array();
  for (const Release& each : table.releases) releases.push_back(json_of(each));
  const Json json = {{"format", 1}, {"last", table.last}, {"served", table.served}, {"releases", releases}};
  return json.dump(1, ' ', false, Json::error_handler_t::replace) + "\n";
}

Result<ReleaseTable> parse_releases(std::string_view text) {
  try {
    const Json json = Json::parse(text);
    ReleaseTable table{.last = json.at("last").get<uint32_t>(),
                       .served = json.at("served").get<std::vector<uint32_t>>(),
                       .releases = {}};
    for (const Json& each : json.at("releases")) table.releases.push_back(release_of(each));
    if (!makes_sense(table)) return fail(Code::kInvalid, "releases.json", "it contradicts itself");
    return table;
  } catch (const Json::exception&) {
    return fail(Code::kInvalid, "releases.json", "it is not what Terrace wrote");
  }
}

// ---- the file

Result<ReleaseTable> ReleaseFile::load() const {
  const Result<std::string> text = read_file(path_, kFileBytesMax);
  if (!text && text.error().system == ENOENT) return ReleaseTable{};
  if (!text) return std::unexpected(text.error());
  return parse_releases(*text);
}

Result<void> ReleaseFile::save(const ReleaseTable& table) const {
  return write_file(path_, text_of(table), kFileMode);
}

Result<void> ReleaseFile::prepare(const char* purpose, const ReleaseTable& table) const {
  return write_file(path_ + "." + purpose, text_of(table), kFileMode);
}

Result<void> ReleaseFile::commit(const char* purpose) const {
  if (::rename((path_ + "." + purpose).c_str(), path_.c_str()) != 0) return fail_system("rename");
  const Descriptor folder(
      ::open(path_.substr(0, path_.rfind('/')).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!folder || ::fsync(folder.get()) != 0) return fail_system("fsync");
  return {};
}

void ReleaseFile::forget(const char* purpose) const { ::unlink((path_ + "." + purpose).c_str()); }

// ---- folders

std::string release_folder(const std::string& state, uint32_t number) {
  return state + "/releases/" + std::to_string(number);
}

std::string release_root(const std::string& state, const ReleaseTable& table) {
  return table.current() == 0 ? "" : release_folder(state, table.current());
}

void count_from_release(topology::LoadOptions& options, const std::string& site_path,
                        const std::string& state) {
  const Result<ReleaseTable> table = ReleaseFile(state).load();
  const bool may_look = ::access((state + "/releases.json").c_str(), R_OK) == 0 || errno == ENOENT;
  if (table) options.root = release_root(state, *table);
  const bool closed = !options.root.empty() && ::access(options.root.c_str(), X_OK) != 0;
  if (!may_look || closed || (table && awaits_release(site_path, *table))) options.look_at_folders = false;
}

bool awaits_release(const std::string& site_path, const ReleaseTable& table) {
  return table.current() == 0 && site_path.starts_with("/etc/");
}

topology::Site without_release(const topology::Site& site) {
  topology::Site bare = site;
  const auto is_relative = [](const std::string& path) { return !path.starts_with('/'); };
  if (is_relative(site.folder_written)) bare.app = {};
  if (!is_relative(site.files_written) || site.files_written.empty()) return bare;
  bare.web.files.clear();
  bare.web.fallback = topology::Fallback::kApp;
  bare.web.errors.clear();
  return bare;
}

std::vector<uint32_t> release_folders(const std::string& state) {
  std::vector<uint32_t> numbers;
  std::error_code ignored;
  for (const auto& entry : std::filesystem::directory_iterator(state + "/releases", ignored)) {
    const std::string name = entry.path().filename();
    uint32_t number = 0;
    const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), number);
    if (error == std::errc() && end == name.data() + name.size() && number > 0) numbers.push_back(number);
  }
  std::ranges::sort(numbers);
  return numbers;
}

}  // namespace terrace::program
