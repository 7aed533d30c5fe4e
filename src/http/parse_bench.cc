#include <benchmark/benchmark.h>

#include <array>
#include <string>

#include "base/assert.h"
#include "http/chunk.h"
#include "http/parser.h"
#include "http/url.h"
#include "http/writer.h"

namespace terrace::http {
namespace {

// What a load generator, a browser and an application send.
const std::string kSmallRequest =
    "GET /static/1k.html HTTP/1.1\r\nHost: example.com\r\nUser-Agent: bench\r\n\r\n";
const std::string kTypicalRequest =
    "GET /articles/2026/11/terrace?page=2 HTTP/1.1\r\n"
    "Host: www.example.com\r\n"
    "User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:132.0) Gecko/20100101\r\n"
    "Accept: text/html,application/xhtml+xml\r\n"
    "Accept-Language: en-GB,en;q=0.5\r\n"
    "Accept-Encoding: gzip, deflate, br\r\n"
    "Connection: keep-alive\r\n"
    "Cookie: session=7f3b6a2c9d8e4f10\r\n\r\n";
const std::string kBrowserRequest =
    "GET /articles/2026/11/terrace?page=2 HTTP/1.1\r\n"
    "Host: www.example.com\r\n"
    "Connection: keep-alive\r\n"
    "sec-ch-ua: \"Chromium\";v=\"130\", \"Not?A_Brand\";v=\"99\"\r\n"
    "sec-ch-ua-mobile: ?0\r\n"
    "sec-ch-ua-platform: \"Linux\"\r\n"
    "Upgrade-Insecure-Requests: 1\r\n"
    "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0\r\n"
    "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8\r\n"
    "Sec-Fetch-Site: same-origin\r\n"
    "Sec-Fetch-Mode: navigate\r\n"
    "Sec-Fetch-User: ?1\r\n"
    "Sec-Fetch-Dest: document\r\n"
    "Referer: https://www.example.com/articles/2026/11/\r\n"
    "Accept-Encoding: gzip, deflate, br, zstd\r\n"
    "Accept-Language: en-GB,en;q=0.9,de;q=0.8\r\n"
    "Cookie: session=7f3b6a2c9d8e4f10; theme=dark; consent=necessary\r\n\r\n";
const std::string kResponse =
    "HTTP/1.1 200 OK\r\n"
    "Content-Type: text/html; charset=utf-8\r\n"
    "Content-Length: 10240\r\n"
    "Date: Sun, 22 Nov 2026 23:00:00 GMT\r\n"
    "Cache-Control: no-cache\r\n"
    "ETag: \"5f3-60a1b2c3d4e5f\"\r\n"
    "Connection: keep-alive\r\n\r\n";

void parse_request(benchmark::State& state, const std::string& text) {
  RequestParser parser;
  RequestHead head;
  for (auto _ : state) {
    parser.reset();
    ASSERT(parser.parse(text, {}, head) == Parsed::kDone);
    benchmark::DoNotOptimize(head.fields.size());
  }
  state.SetBytesProcessed(static_cast<int64_t>(state.iterations() * text.size()));
}
BENCHMARK_CAPTURE(parse_request, small, kSmallRequest);
BENCHMARK_CAPTURE(parse_request, typical, kTypicalRequest);
BENCHMARK_CAPTURE(parse_request, browser, kBrowserRequest);

void parse_response(benchmark::State& state) {
  ResponseParser parser;
  ResponseHead head;
  for (auto _ : state) {
    parser.reset();
    ASSERT(parser.parse(kResponse, {}, Method::kGet, head) == Parsed::kDone);
    benchmark::DoNotOptimize(head.fields.size());
  }
}
BENCHMARK(parse_response);

void write_request(benchmark::State& state) {
  RequestParser parser;
  RequestHead head;
  ASSERT(parser.parse(kTypicalRequest, {}, head) == Parsed::kDone);
  std::array<char, 2048> buffer;
  for (auto _ : state) {
    HeadWriter writer(buffer);
    writer.request_line(head.method_text, head.target);
    for (const Field& field : head.fields) {
      if (!field.hop_by_hop) writer.field(field.name, field.value);
    }
    writer.end();
    benchmark::DoNotOptimize(buffer);
  }
}
BENCHMARK(write_request);

void decode_chunks(benchmark::State& state) {
  const std::string chunk = "200\r\n" + std::string(512, 'x') + "\r\n";
  const std::string body = chunk + chunk + chunk + chunk + "0\r\n\r\n";
  for (auto _ : state) {
    ChunkDecoder decoder;
    std::string_view rest = body;
    while (!rest.empty()) rest.remove_prefix(decoder.decode(rest).consumed);
    benchmark::DoNotOptimize(rest);
  }
}
BENCHMARK(decode_chunks);

void normalise(benchmark::State& state, std::string_view path) {
  std::array<char, 256> into;
  for (auto _ : state) benchmark::DoNotOptimize(normalise_path(path, into));
}
BENCHMARK_CAPTURE(normalise, plain, "/assets/css/site.7f3b6a2c.css");
BENCHMARK_CAPTURE(normalise, encoded, "/artikel/%C3%BCber%20uns/index.html");

}  // namespace
}  // namespace terrace::http

BENCHMARK_MAIN();
