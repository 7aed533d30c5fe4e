#pragma once

#include <string_view>

#include "http/message.h"
#include "http/parser.h"

namespace terrace::http {

// What request and response heads share: field lines, and the fields that decide
// where the message ends and what becomes of the connection.

// Parses one field line without its CRLF (RFC 9112 section 5). Returns null, or
// why it was refused. A name is a token right before the colon; lines are never
// folded.
const char* parse_field_line(std::string_view line, Field& field);

// Notes what a field says about body and connection, and marks it when it is
// hop-by-hop by itself. Returns false with `refusal` set when the field, or what
// it says together with the ones before it, is not acceptable.
bool note_field(Field& field, bool http_1_0, FieldsSeen& seen, Refusal& refusal);

// Marks the fields that Connection names. What decides framing or routing, and
// what we add ourselves, stays, whoever names it.
void mark_named_fields(Fields& fields);

}  // namespace terrace::http
