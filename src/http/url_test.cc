#include "http/url.h"

#include <gtest/gtest.h>

#include <string>

namespace terrace::http {
namespace {

std::string normal(std::string_view path) {
  std::string into(path.size(), '\0');
  const Result<std::string_view> result = normalise_path(path, into);
  return result.has_value() ? std::string(*result) : std::string("refused");
}

TEST(NormalisePath, the_result_lies_in_the_buffer_of_the_caller) {
  for (const std::string_view path : {"/plain", "/%65ncoded"}) {
    std::string into(path.size(), '\0');
    const Result<std::string_view> result = normalise_path(path, into);
    ASSERT_TRUE(result.has_value());
    EXPECT_EQ(result->data(), into.data());
  }
}

TEST(NormalisePath, what_is_refused_says_why) {
  std::string into(100, '\0');
  const Result<std::string_view> result = normalise_path("/a/%2e%2e/b", into);
  ASSERT_FALSE(result.has_value());
  EXPECT_EQ(result.error().code, Code::kInvalid);
  EXPECT_STREQ(result.error().text, "a dot segment");
}

TEST(NormalisePath, each_byte_is_the_same_plain_and_encoded_unless_one_of_them_is_refused) {
  constexpr char kDigits[] = "0123456789abcdef";
  for (int byte = 0; byte < 128; byte++) {
    const std::string plain = {'/', 'x', static_cast<char>(byte), 'y'};
    const std::string encoded = {'/', 'x', '%', kDigits[byte >> 4], kDigits[byte & 15], 'y'};
    if (byte == '%' || byte == '/') continue;
    EXPECT_EQ(normal(plain), normal(encoded)) << byte;
    const bool refused = byte < 0x20 || byte == 0x7f || byte == '\\';
    EXPECT_EQ(normal(plain), refused ? "refused" : plain) << byte;
  }
}

TEST(NormalisePath, every_character_of_unicode_is_kept_and_nothing_else) {
  EXPECT_EQ(normal("/\xc2\x80\xdf\xbf\xe0\xa0\x80\xef\xbf\xbf\xf0\x90\x80\x80\xf4\x8f\xbf\xbf"),
            "/\xc2\x80\xdf\xbf\xe0\xa0\x80\xef\xbf\xbf\xf0\x90\x80\x80\xf4\x8f\xbf\xbf");
  for (const char* bad : {"/\xc0\x80", "/\xe0\x9f\xbf", "/\xed\xbf\xbf", "/\xf0\x8f\xbf\xbf",
                          "/\xf4\x90\x80\x80", "/\xf5\x80\x80\x80", "/\x80", "/\xc3"}) {
    EXPECT_EQ(normal(bad), "refused");
  }
}

TEST(Authority, is_a_host_with_or_without_a_port) {
  for (const char* good : {"a", "example.com", "example.com:0", "example.com:65535", "[::1]",
                           "[2001:db8::1]:443", "127.0.0.1", "a-b_c.d~e."}) {
    EXPECT_TRUE(valid_authority(good)) << good;
  }
  for (const char* bad :
       {"",     ":", ":1", "a:", "a:b",  "a:1:2", "a:65536", "a:000001", "a b", "a/b",        "a,b", "u@a",
        "a%41", "[", "]",  "[]", "[::1", "::1",   "[::1]:",  "[::1]a",   "[a]", "[::1%eth0]", "a\\b"}) {
    EXPECT_FALSE(valid_authority(bad)) << bad;
  }
  EXPECT_TRUE(valid_authority(std::string(255, 'a')));
  EXPECT_FALSE(valid_authority(std::string(256, 'a')));
}

TEST(Authority, the_host_is_what_comes_before_the_port) {
  EXPECT_EQ(host_of("example.com:8080"), "example.com");
  EXPECT_EQ(host_of("example.com"), "example.com");
  EXPECT_EQ(host_of("[::1]:80"), "[::1]");
  EXPECT_EQ(host_of("[::1]"), "[::1]");
  EXPECT_EQ(host_of(""), "");
}

}  // namespace
}  // namespace terrace::http
