#include "cluster/frames.h"

#include <gtest/gtest.h>

namespace terrace::cluster {
namespace {

std::string head(char kind, uint32_t length) {
  std::string bytes(1, kind);
  for (int shift = 24; shift >= 0; shift -= 8) bytes += static_cast<char>(length >> shift & 0xff);
  return bytes;
}

TEST(Frames, AFrameIsReadAsItWasWritten) {
  FrameReader reader;
  reader.add(frame_bytes(FrameKind::kMessage, R"({"a":1})") + frame_bytes(FrameKind::kData, "xyz") +
             frame_bytes(FrameKind::kEnd, ""));
  EXPECT_EQ(reader.next().value(), (Frame{FrameKind::kMessage, R"({"a":1})"}));
  EXPECT_EQ(reader.next().value(), (Frame{FrameKind::kData, "xyz"}));
  EXPECT_EQ(reader.next().value(), (Frame{FrameKind::kEnd, ""}));
  EXPECT_EQ(reader.next().value(), std::nullopt);
  EXPECT_TRUE(reader.empty());
}

TEST(Frames, BytesMayComeOneByOne) {
  const std::string bytes = frame_bytes(FrameKind::kMessage, "{}");
  FrameReader reader;
  for (size_t i = 0; i + 1 < bytes.size(); ++i) {
    reader.add(bytes.substr(i, 1));
    EXPECT_EQ(reader.next().value(), std::nullopt);
    EXPECT_FALSE(reader.empty());
  }
  reader.add(bytes.substr(bytes.size() - 1));
  EXPECT_EQ(reader.next().value(), (Frame{FrameKind::kMessage, "{}"}));
}

TEST(Frames, AnUnknownKindIsRefusedAtItsFirstByte) {
  for (const char* bytes : {"G", "\x16\x03", "M", ""}) {
    FrameReader reader;
    reader.add(std::string_view(bytes, bytes[0] == 0 ? 1 : std::string_view(bytes).size()));
    const auto frame = reader.next();
    ASSERT_FALSE(frame);
    EXPECT_EQ(frame.error().code, Code::kInvalid);
  }
}

TEST(Frames, ALengthBeyondTheLimitIsRefusedBeforeTheBody) {
  const std::pair<char, uint32_t> heads[] = {{'m', 1024 * 1024 + 1}, {'d', 65537}, {'e', 1}, {'m', ~0U}};
  for (const auto& [kind, length] : heads) {
    FrameReader reader;
    reader.add(head(kind, length));
    const auto frame = reader.next();
    ASSERT_FALSE(frame) << kind;
    EXPECT_EQ(frame.error().code, Code::kLimit);
  }
}

TEST(Frames, WhoIsNotKnownYetMaySayLess) {
  FrameReader reader(16);
  reader.add(head('m', 17));
  EXPECT_FALSE(reader.next());
  FrameReader known(16);
  known.allow_messages(17);
  known.add(head('m', 17));
  EXPECT_EQ(known.next().value(), std::nullopt);
}

}  // namespace
}  // namespace terrace::cluster
