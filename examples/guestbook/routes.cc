#include "routes.h"

#include <httplib.h>

#include <algorithm>
#include <charconv>
#include <exception>
#include <nlohmann/json.hpp>

#include "pages.h"

namespace guestbook {
namespace {

constexpr const char* kHtml = "text/html; charset=utf-8";
constexpr const char* kJson = "application/json";

// The page that a query asks for; the first for anything that is not a number.
int64_t page_number(const httplib::Request& request) {
  const std::string text = request.get_param_value("page");
  int64_t number = 1;
  std::from_chars(text.data(), text.data() + text.size(), number);
  return number;
}

Page read_page(Entries& entries, int64_t number) {
  Page page;
  page.total = entries.count();
  page.pages = std::max<int64_t>(1, (page.total + kEntriesPerPage - 1) / kEntriesPerPage);
  page.number = std::clamp<int64_t>(number, 1, page.pages);
  page.entries = entries.newest(kEntriesPerPage, (page.number - 1) * kEntriesPerPage);
  return page;
}

// A form on another site can make a visitor's browser post here. Browsers say so:
// in Sec-Fetch-Site, older ones in Origin. A program that is no browser sends
// neither and needs no protection.
bool comes_from_elsewhere(const httplib::Request& request) {
  const std::string site = request.get_header_value("Sec-Fetch-Site");
  if (!site.empty()) return site != "same-origin" && site != "none";
  const std::string origin = request.get_header_value("Origin");
  const std::string host = request.get_header_value("Host");
  return !origin.empty() && origin != "http://" + host && origin != "https://" + host;
}

void show_problem(httplib::Response& response, int status, const std::string& problem) {
  response.status = status;
  response.set_content(nlohmann::json{{"error", problem}}.dump() + "\n", kJson);
}

void show_book(const httplib::Request& request, httplib::Response& response, Entries& entries) {
  response.set_header("Cache-Control", "no-cache");
  response.set_content(html(read_page(entries, page_number(request))), kHtml);
}

// After a POST a redirect: reloading the page must not write the entry again.
void take_form(const httplib::Request& request, httplib::Response& response, Entries& entries) {
  if (comes_from_elsewhere(request)) {
    response.status = 403;
    response.set_content("This form was sent from another site.\n", "text/plain");
    return;
  }
  Draft draft = make_draft(request.get_param_value("name"), request.get_param_value("message"));
  if (draft.problem.empty()) {
    const Entry entry = entries.add(draft);
    response.set_redirect("/#entry-" + std::to_string(entry.id), 303);
    return;
  }
  Page page = read_page(entries, 1);
  page.draft = std::move(draft);
  response.status = 422;
  response.set_content(html(page), kHtml);
}

void take_json(const httplib::Request& request, httplib::Response& response, Entries& entries) {
  if (comes_from_elsewhere(request)) return show_problem(response, 403, "sent from another site");
  if (!request.get_header_value("Content-Type").starts_with(kJson))
    return show_problem(response, 415, "send application/json");
  const nlohmann::json body = nlohmann::json::parse(request.body, nullptr, false);
  if (!body.is_object() || !body.contains("name") || !body.contains("message") || !body["name"].is_string() ||
      !body["message"].is_string())
    return show_problem(response, 400, "send {\"name\": \"…\", \"message\": \"…\"}");
  const Draft draft = make_draft(body["name"], body["message"]);
  if (!draft.problem.empty()) return show_problem(response, 422, draft.problem);
  response.status = 201;
  response.set_content(json(entries.add(draft)) + "\n", kJson);
}

void report_exception(const httplib::Request&, httplib::Response& response, std::exception_ptr thrown) {
  try {
    std::rethrow_exception(std::move(thrown));
  } catch (const std::exception& error) {
    std::fprintf(stderr, "guestbook: %s\n", error.what());
  }
  response.status = 500;
  response.set_content("The guestbook has a problem. Please try again later.\n", "text/plain");
}

}  // namespace

void add_routes(httplib::Server& server, Entries& entries) {
  using httplib::Request;
  using httplib::Response;
  server.Get(
      "/", [&entries](const Request& request, Response& response) { show_book(request, response, entries); });
  server.Post("/entries", [&entries](const Request& request, Response& response) {
    take_form(request, response, entries);
  });
  server.Get("/api/entries", [&entries](const Request& request, Response& response) {
    response.set_content(json(read_page(entries, page_number(request))), kJson);
  });
  server.Post("/api/entries", [&entries](const Request& request, Response& response) {
    take_json(request, response, entries);
  });
  server.Get("/up", [&entries](const Request&, Response& response) {
    entries.count();
    response.set_content("up\n", "text/plain");
  });
  server.set_exception_handler(report_exception);
}

}  // namespace guestbook
