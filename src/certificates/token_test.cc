#include "certificates/token.h"

#include <gtest/gtest.h>

namespace terrace::certificates {
namespace {

using namespace std::chrono_literals;

Token example(const char* address) {
  return Token::make(fingerprint_of("an authority"), net::Ip::parse(address).value(), 7400,
                     WallTime(1'700'000'000s));
}

TEST(TokenTest, WhatWasPrintedIsRead) {
  for (const char* address : {"192.0.2.1", "2001:db8::1"}) {
    const Token token = example(address);
    EXPECT_LE(token.print().size(), Token::kTextBytesMax);
    const Result<Token> read = Token::parse(" " + token.print() + "\n");
    ASSERT_TRUE(read) << describe(read.error());
    EXPECT_EQ(*read, token);
  }
}

TEST(TokenTest, AWrongLetterIsNoticed) {
  const std::string text = example("192.0.2.1").print();
  for (size_t i = 0; i < text.size(); ++i) {
    std::string wrong = text;
    wrong[i] = wrong[i] == 'a' ? 'b' : 'a';
    EXPECT_FALSE(Token::parse(wrong)) << i;
    EXPECT_FALSE(Token::parse(text.substr(0, i))) << i;
  }
  EXPECT_FALSE(Token::parse(text + "a"));
}

TEST(TokenTest, ASecretMatchesOnlyItsHash) {
  const Token token = example("192.0.2.1");
  EXPECT_TRUE(secret_matches(token.secret_hex(), token.secret_hash()));
  EXPECT_FALSE(secret_matches(example("192.0.2.1").secret_hex(), token.secret_hash()));
  EXPECT_FALSE(secret_matches("", token.secret_hash()));
  EXPECT_FALSE(secret_matches(token.secret_hex(), ""));
}

}  // namespace
}  // namespace terrace::certificates
