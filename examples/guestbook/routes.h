#pragma once

#include "entries.h"

namespace httplib {
class Server;
}

namespace guestbook {

// Adds the pages, the JSON API and the health check to `server`:
//
//   GET  /?page=2       the book, the newest entry first
//   POST /entries       the form; then a redirect to the book (303)
//   GET  /api/entries   the same as JSON, with ?page=2
//   POST /api/entries   {"name": …, "message": …}; 201 with the entry
//   GET  /up            200 while the database answers
//
// Both must outlive the server's last request.
void add_routes(httplib::Server& server, Entries& entries);

}  // namespace guestbook
