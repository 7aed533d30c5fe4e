#include "web/content_type.h"

#include <algorithm>
#include <array>

namespace terrace::web {
namespace {

struct Known {
  std::string_view extension;
  ContentType type;
};

constexpr bool kPacked = false;  // compressed by its own format
constexpr bool kPlain = true;

// Sorted by extension for the binary search; the assertion below checks it.
constexpr auto kTypes = std::to_array<Known>({
    {"3gp", {"video/3gpp", kPacked}},
    {"7z", {"application/x-7z-compressed", kPacked}},
    {"aac", {"audio/aac", kPacked}},
    {"apk", {"application/vnd.android.package-archive", kPacked}},
    {"apng", {"image/apng", kPacked}},
    {"atom", {"application/atom+xml; charset=utf-8", kPlain}},
    {"avi", {"video/x-msvideo", kPacked}},
    {"avif", {"image/avif", kPacked}},
    {"bin", {"application/octet-stream", kPacked}},
    {"bmp", {"image/bmp", kPlain}},
    {"bz2", {"application/x-bzip2", kPacked}},
    {"c", {"text/plain; charset=utf-8", kPlain}},
    {"cc", {"text/plain; charset=utf-8", kPlain}},
    {"conf", {"text/plain; charset=utf-8", kPlain}},
    {"cpp", {"text/plain; charset=utf-8", kPlain}},
    {"css", {"text/css; charset=utf-8", kPlain}},
    {"csv", {"text/csv; charset=utf-8", kPlain}},
    {"cur", {"image/x-icon", kPlain}},
    {"deb", {"application/vnd.debian.binary-package", kPacked}},
    {"diff", {"text/plain; charset=utf-8", kPlain}},
    {"dmg", {"application/x-apple-diskimage", kPacked}},
    {"doc", {"application/msword", kPlain}},
    {"docx", {"application/vnd.openxmlformats-officedocument.wordprocessingml.document", kPacked}},
    {"eot", {"application/vnd.ms-fontobject", kPlain}},
    {"eps", {"application/postscript", kPlain}},
    {"epub", {"application/epub+zip", kPacked}},
    {"exe", {"application/octet-stream", kPacked}},
    {"flac", {"audio/flac", kPacked}},
    {"flv", {"video/x-flv", kPacked}},
    {"geojson", {"application/geo+json", kPlain}},
    {"gif", {"image/gif", kPacked}},
    {"glb", {"model/gltf-binary", kPlain}},
    {"gltf", {"model/gltf+json", kPlain}},
    {"gpx", {"application/gpx+xml; charset=utf-8", kPlain}},
    {"gz", {"application/gzip", kPacked}},
    {"h", {"text/plain; charset=utf-8", kPlain}},
    {"heic", {"image/heic", kPacked}},
    {"htm", {"text/html; charset=utf-8", kPlain}},
    {"html", {"text/html; charset=utf-8", kPlain}},
    {"ico", {"image/x-icon", kPlain}},
    {"ics", {"text/calendar; charset=utf-8", kPlain}},
    {"iso", {"application/octet-stream", kPacked}},
    {"jar", {"application/java-archive", kPacked}},
    {"jpeg", {"image/jpeg", kPacked}},
    {"jpg", {"image/jpeg", kPacked}},
    {"js", {"text/javascript; charset=utf-8", kPlain}},
    {"json", {"application/json", kPlain}},
    {"jsonld", {"application/ld+json", kPlain}},
    {"jxl", {"image/jxl", kPacked}},
    {"kml", {"application/vnd.google-earth.kml+xml; charset=utf-8", kPlain}},
    {"kmz", {"application/vnd.google-earth.kmz", kPacked}},
    {"log", {"text/plain; charset=utf-8", kPlain}},
    {"m3u8", {"application/vnd.apple.mpegurl", kPlain}},
    {"m4a", {"audio/mp4", kPacked}},
    {"m4v", {"video/mp4", kPacked}},
    {"map", {"application/json", kPlain}},
    {"markdown", {"text/markdown; charset=utf-8", kPlain}},
    {"md", {"text/markdown; charset=utf-8", kPlain}},
    {"mid", {"audio/midi", kPlain}},
    {"mjs", {"text/javascript; charset=utf-8", kPlain}},
    {"mkv", {"video/x-matroska", kPacked}},
    {"mov", {"video/quicktime", kPacked}},
    {"mp3", {"audio/mpeg", kPacked}},
    {"mp4", {"video/mp4", kPacked}},
    {"mpd", {"application/dash+xml; charset=utf-8", kPlain}},
    {"mpeg", {"video/mpeg", kPacked}},
    {"mpg", {"video/mpeg", kPacked}},
    {"odp", {"application/vnd.oasis.opendocument.presentation", kPacked}},
    {"ods", {"application/vnd.oasis.opendocument.spreadsheet", kPacked}},
    {"odt", {"application/vnd.oasis.opendocument.text", kPacked}},
    {"oga", {"audio/ogg", kPacked}},
    {"ogg", {"audio/ogg", kPacked}},
    {"ogv", {"video/ogg", kPacked}},
    {"opus", {"audio/ogg", kPacked}},
    {"otf", {"font/otf", kPlain}},
    {"patch", {"text/plain; charset=utf-8", kPlain}},
    {"pdf", {"application/pdf", kPacked}},
    {"png", {"image/png", kPacked}},
    {"ppt", {"application/vnd.ms-powerpoint", kPlain}},
    {"pptx", {"application/vnd.openxmlformats-officedocument.presentationml.presentation", kPacked}},
    {"ps", {"application/postscript", kPlain}},
    {"py", {"text/plain; charset=utf-8", kPlain}},
    {"rar", {"application/vnd.rar", kPacked}},
    {"rpm", {"application/x-rpm", kPacked}},
    {"rss", {"application/rss+xml; charset=utf-8", kPlain}},
    {"rtf", {"application/rtf", kPlain}},
    {"sh", {"text/plain; charset=utf-8", kPlain}},
    {"svg", {"image/svg+xml; charset=utf-8", kPlain}},
    {"svgz", {"application/gzip", kPacked}},
    {"tar", {"application/x-tar", kPlain}},
    {"tgz", {"application/gzip", kPacked}},
    {"tif", {"image/tiff", kPlain}},
    {"tiff", {"image/tiff", kPlain}},
    {"toml", {"application/toml", kPlain}},
    {"ts", {"video/mp2t", kPacked}},
    {"tsv", {"text/tab-separated-values; charset=utf-8", kPlain}},
    {"ttf", {"font/ttf", kPlain}},
    {"txt", {"text/plain; charset=utf-8", kPlain}},
    {"vcf", {"text/vcard; charset=utf-8", kPlain}},
    {"vtt", {"text/vtt; charset=utf-8", kPlain}},
    {"wasm", {"application/wasm", kPlain}},
    {"wav", {"audio/wav", kPlain}},
    {"weba", {"audio/webm", kPacked}},
    {"webm", {"video/webm", kPacked}},
    {"webmanifest", {"application/manifest+json", kPlain}},
    {"webp", {"image/webp", kPacked}},
    {"wmv", {"video/x-ms-wmv", kPacked}},
    {"woff", {"font/woff", kPacked}},
    {"woff2", {"font/woff2", kPacked}},
    {"xhtml", {"application/xhtml+xml; charset=utf-8", kPlain}},
    {"xls", {"application/vnd.ms-excel", kPlain}},
    {"xlsx", {"application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", kPacked}},
    {"xml", {"application/xml; charset=utf-8", kPlain}},
    {"xsl", {"application/xml; charset=utf-8", kPlain}},
    {"xz", {"application/x-xz", kPacked}},
    {"yaml", {"application/yaml; charset=utf-8", kPlain}},
    {"yml", {"application/yaml; charset=utf-8", kPlain}},
    {"zip", {"application/zip", kPacked}},
    {"zst", {"application/zstd", kPacked}},
});

static_assert(std::ranges::is_sorted(kTypes, {}, &Known::extension));

constexpr ContentType kUnknown{"application/octet-stream", kPacked};
constexpr size_t kExtensionMax = 12;

}  // namespace

ContentType content_type(std::string_view path) {
  const std::string_view name = path.substr(path.rfind('/') + 1);
  const size_t dot = name.rfind('.');
  if (dot == std::string_view::npos || name.size() - dot - 1 > kExtensionMax) return kUnknown;
  std::array<char, kExtensionMax> lower{};
  size_t size = 0;
  for (const char c : name.substr(dot + 1)) {
    lower[size++] = c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c;
  }
  const std::string_view extension(lower.data(), size);
  const auto* found = std::ranges::lower_bound(kTypes, extension, {}, &Known::extension);
  return found != kTypes.end() && found->extension == extension ? found->type : kUnknown;
}

}  // namespace terrace::web
