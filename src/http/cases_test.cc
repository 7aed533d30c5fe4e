#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "http/case_table.h"
#include "http/chunk.h"
#include "http/parser.h"
#include "http/url.h"

// Every case of tests/http/cases.toml that a parser decides: fed whole, in two
// parts split at every byte, and byte by byte, always with the same outcome.

namespace terrace::http {
namespace {

// All that a caller can see of a head, to compare and to print.
struct Outcome {
  Parsed state = Parsed::kIncomplete;
  int status = 0;  // of a refusal, or of a response
  std::string text;
  std::string body;
  std::string rest;

  bool operator==(const Outcome&) const = default;
};

std::ostream& operator<<(std::ostream& out, const Outcome& outcome) {
  return out << "state " << static_cast<int>(outcome.state) << " status " << outcome.status << "\n"
             << outcome.text << "body " << outcome.body << "\nrest " << outcome.rest;
}

std::string describe(const Fields& fields) {
  std::string text;
  for (const Field& field : fields) {
    text += std::string(field.name) + ": " + std::string(field.value) + " (" +
            std::to_string(static_cast<int>(field.id)) + (field.hop_by_hop ? ", hop-by-hop)\n" : ")\n");
  }
  return text;
}

const char* framing_name(Framing framing) {
  switch (framing) {
    case Framing::kNone:
      return "none";
    case Framing::kLength:
      return "length";
    case Framing::kChunked:
      return "chunked";
    case Framing::kUntilClose:
      return "until-close";
  }
  return "";
}

std::string describe(const RequestHead& head) {
  std::string text;
  for (const std::string_view part : {head.method_text, head.target, head.path, head.query, head.authority,
                                      std::string_view(framing_name(head.framing))}) {
    text += std::string(part) + "\n";
  }
  for (const bool flag : {head.http_1_0, head.keep_alive, head.expect_continue, head.upgrade}) {
    text += flag ? "yes " : "no ";
  }
  return text + std::to_string(head.content_length) + "\n" + describe(head.fields);
}

std::string describe(const ResponseHead& head) {
  return std::string(head.reason) + "\n" + framing_name(head.framing) +
         (head.keep_alive ? " keep " : " close ") + std::to_string(head.content_length) + "\n" +
         describe(head.fields);
}

// Feeds `bytes` to a parser up to each of `ends`.
template <class Parser, class Parse>
Outcome feed(Parser& parser, std::string_view bytes, const std::vector<size_t>& ends, Parse parse) {
  Outcome outcome;
  for (const size_t end : ends) {
    outcome.state = parse(bytes.substr(0, end));
    if (outcome.state != Parsed::kIncomplete) break;
  }
  if (outcome.state == Parsed::kRefused) outcome.status = parser.refusal().status;
  if (outcome.state == Parsed::kDone) outcome.rest = bytes.substr(parser.head_bytes());
  return outcome;
}

Outcome feed_request(std::string_view bytes, const std::vector<size_t>& ends, RequestHead& head) {
  RequestParser parser;
  Outcome outcome =
      feed(parser, bytes, ends, [&](std::string_view part) { return parser.parse(part, {}, head); });
  if (outcome.state == Parsed::kDone) outcome.text = describe(head);
  return outcome;
}

Outcome feed_response(std::string_view bytes, const std::vector<size_t>& ends, Method method,
                      ResponseHead& head) {
  ResponseParser parser;
  Outcome outcome =
      feed(parser, bytes, ends, [&](std::string_view part) { return parser.parse(part, {}, method, head); });
  if (outcome.state != Parsed::kDone) return outcome;
  outcome.status = head.status;
  outcome.text = describe(head);
  return outcome;
}

Outcome feed_chunks(std::string_view bytes, const std::vector<size_t>& ends) {
  ChunkDecoder decoder;
  Outcome outcome;
  size_t at = 0;
  for (const size_t end : ends) {
    while (at < end && outcome.state == Parsed::kIncomplete) {
      const ChunkDecoder::Step step = decoder.decode(bytes.substr(at, end - at));
      outcome.state = step.state;
      outcome.body += step.data;
      at += step.consumed;
    }
  }
  if (outcome.state == Parsed::kRefused) outcome.status = decoder.refusal().status;
  if (outcome.state == Parsed::kDone) outcome.rest = bytes.substr(at);
  return outcome;
}

// The ways to feed besides whole. Of a long input the splits are a sample, so
// that the test stays short.
std::vector<std::vector<size_t>> ways_to_feed(size_t size) {
  std::vector<std::vector<size_t>> ways;
  const size_t step = size > 1000 ? 97 : 1;
  for (size_t split = 0; split < size; split += step) ways.push_back({split, size});
  std::vector<size_t> each_byte;
  for (size_t end = 1; end <= size; end++) each_byte.push_back(end);
  ways.push_back(each_byte);
  return ways;
}

template <class Feed>
void expect_same_however_fed(const Case& c, const Outcome& whole, Feed feed_bytes) {
  EXPECT_EQ(whole.state, c.refused_with != 0 ? Parsed::kRefused : Parsed::kDone);
  if (c.refused_with != 0) EXPECT_EQ(whole.status, c.refused_with);
  for (const std::vector<size_t>& ends : ways_to_feed(c.bytes.size())) {
    Outcome outcome = feed_bytes(ends);
    // What was refused early has less to show.
    if (c.refused_with != 0) outcome.body = whole.body;
    ASSERT_EQ(outcome, whole) << "split at " << ends.front();
  }
}

template <class Expected, class Found>
void expect_key(const char* key, const std::optional<Expected>& expected, const Found& found) {
  if (expected.has_value()) EXPECT_EQ(*expected, Expected(found)) << key;
}

void expect_fields(const Case& c, const Fields& fields) {
  expect_key("field_count", c.field_count, fields.size());
  if (!c.hop_by_hop.has_value()) return;
  std::vector<std::string> names;
  for (const Field& field : fields) {
    if (field.hop_by_hop) names.emplace_back(field.name);
  }
  EXPECT_EQ(names, *c.hop_by_hop);
}

Method method_of(const std::string& name) { return name == "HEAD" ? Method::kHead : Method::kGet; }

TEST(Cases, requests_get_what_the_table_says) {
  for (const Case& c : parser_cases("request")) {
    SCOPED_TRACE(c.name);
    RequestHead head;
    const Outcome whole = feed_request(c.bytes, {c.bytes.size()}, head);
    if (c.refused_with == 0 && whole.state == Parsed::kDone) {
      expect_key("method", c.method, head.method_text);
      expect_key("target", c.target, head.target);
      expect_key("path", c.path, head.path);
      expect_key("query", c.query, head.query);
      expect_key("authority", c.authority, head.authority);
      expect_key("framing", c.framing, framing_name(head.framing));
      expect_key("content_length", c.content_length, head.content_length);
      expect_key("keep_alive", c.keep_alive, head.keep_alive);
      expect_key("expect_continue", c.expect_continue, head.expect_continue);
      expect_key("upgrade", c.upgrade, head.upgrade);
      expect_key("http_1_0", c.http_1_0, head.http_1_0);
      expect_key("rest", c.rest, whole.rest);
      expect_fields(c, head.fields);
    }
    RequestHead other;
    expect_same_however_fed(c, whole, [&](const auto& ends) { return feed_request(c.bytes, ends, other); });
  }
}

TEST(Cases, responses_get_what_the_table_says) {
  for (const Case& c : parser_cases("response")) {
    SCOPED_TRACE(c.name);
    ResponseHead head;
    const Method method = method_of(c.request_method);
    const Outcome whole = feed_response(c.bytes, {c.bytes.size()}, method, head);
    if (c.refused_with == 0 && whole.state == Parsed::kDone) {
      expect_key("status", c.status, head.status);
      expect_key("reason", c.reason, head.reason);
      expect_key("framing", c.framing, framing_name(head.framing));
      expect_key("content_length", c.content_length, head.content_length);
      expect_key("keep_alive", c.keep_alive, head.keep_alive);
      expect_key("http_1_0", c.http_1_0, head.http_1_0);
      expect_key("rest", c.rest, whole.rest);
      expect_fields(c, head.fields);
    }
    ResponseHead other;
    expect_same_however_fed(c, whole,
                            [&](const auto& ends) { return feed_response(c.bytes, ends, method, other); });
  }
}

TEST(Cases, chunked_bodies_get_what_the_table_says) {
  for (const Case& c : parser_cases("chunk")) {
    SCOPED_TRACE(c.name);
    const Outcome whole = feed_chunks(c.bytes, {c.bytes.size()});
    expect_key("body", c.body, whole.body);
    expect_key("rest", c.rest, whole.rest);
    expect_same_however_fed(c, whole, [&](const auto& ends) { return feed_chunks(c.bytes, ends); });
  }
}

TEST(Cases, paths_get_what_the_table_says) {
  for (const Case& c : parser_cases("path")) {
    SCOPED_TRACE(c.name);
    std::string into(c.bytes.size(), '\0');
    const Result<std::string_view> result = normalise_path(c.bytes, into);
    EXPECT_EQ(result.has_value(), c.refused_with == 0);
    if (result.has_value()) expect_key("path", c.path, *result);
  }
}

// The chunked bodies of the cases are fit for their decoder, too.
TEST(Cases, bodies_of_requests_decode_as_the_table_says) {
  for (const Case& c : parser_cases("request")) {
    if (c.framing != "chunked" || !c.body.has_value()) continue;
    SCOPED_TRACE(c.name);
    const Outcome whole = feed_chunks(*c.rest, {c.rest->size()});
    EXPECT_EQ(whole.state, Parsed::kDone);
    EXPECT_EQ(whole.body, *c.body);
  }
}

}  // namespace
}  // namespace terrace::http
