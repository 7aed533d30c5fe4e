#include "program/manual_page.h"

#include <fmt/format.h>

#include "program/version.h"

namespace terrace::program {
namespace {

// Text as man(7) shows it: no backslash, hyphen or apostrophe is taken for another
// thing, and no line begins with a request.
std::string plain(std::string_view text) {
  std::string out;
  bool line_begins = true;
  for (const char c : text) {
    if (line_begins && (c == '.' || c == '\'')) out += "\\&";
    if (c == '\\') {
      out += "\\e";
    } else if (c == '-') {
      out += "\\-";
    } else if (c == '\'') {
      out += "\\(aq";
    } else if (c == '`') {
      out += "\\(ga";
    } else {
      out += c;
    }
    line_begins = c == '\n';
  }
  return out;
}

// `code` becomes bold, **strong** too.
std::string styled(std::string_view text) {
  std::string out;
  bool strong = false;
  size_t begin = 0;
  const auto flush = [&](size_t end) { out += plain(text.substr(begin, end - begin)); };
  for (size_t i = 0; i < text.size(); ++i) {
    const size_t width = text[i] == '`' ? 1 : text.substr(i, 2) == "**" ? 2 : 0;
    if (width == 0) continue;
    flush(i);
    // **`key`** is strong once.
    const bool inside = width == 1 && i >= 2 && text.substr(i - 2, 2) == "**";
    const bool ends_inside = width == 1 && text.substr(i + 1, 2) == "**" && strong;
    if (!inside && !ends_inside) {
      strong = !strong;
      out += strong ? "\\fB" : "\\fR";
    }
    i += width - 1;
    begin = i + 1;
  }
  flush(text.size());
  return out + (strong ? "\\fR" : "");
}

std::string head_of(const PageHead& head) {
  return fmt::format(".TH {} {} \"\" \"Terrace {}\" \"Terrace\"\n.SH NAME\n{} \\- {}\n", plain(head.name),
                     head.section, kVersion, plain(head.name), plain(head.about));
}

std::string option_text(const OptionWords& option) {
  std::string names;
  for (const std::string& name : option.names) names += (names.empty() ? "" : ", ") + name;
  const std::string value = option.value.empty() ? "" : " \\fI" + plain(option.value) + "\\fR";
  return fmt::format(".TP\n\\fB{}\\fR{}\n{}\n", plain(names), value, plain(option.about));
}

std::string command_text(const CommandWords& command) {
  std::string text = fmt::format(".SS terrace {}\n{}.\n", plain(command.name), plain(command.about));
  for (const OptionWords& option : command.options) text += option_text(option);
  if (!command.text.empty()) text += fmt::format(".PP\n.nf\n{}\n.fi\n", plain(command.text));
  return text;
}

// Reads one line of Markdown after the other and knows what the last one was.
class MarkdownReader {
 public:
  std::string take(std::string_view line) {
    if (line.starts_with("    ")) return example(line.substr(4));
    std::string out = end_example();
    if (line.starts_with("### ")) return out + ".SH " + styled(line.substr(4)) + "\n";
    if (line.starts_with("## ")) return out + ".SH DESCRIPTION\n";
    if (line.starts_with("**")) return out + ".SS " + styled(line) + "\n";
    if (line.starts_with("- ")) return out + ".IP \\(bu 2\n" + styled(line.substr(2)) + "\n";
    if (line.empty()) return out;
    return out + ".PP\n" + styled(line) + "\n";
  }
  std::string end_example() {
    if (!example_) return "";
    example_ = false;
    return ".fi\n.RE\n";
  }

 private:
  std::string example(std::string_view line) {
    std::string out = example_ ? "" : ".PP\n.RS 4\n.nf\n";
    example_ = true;
    return out + plain(line) + "\n";
  }

  bool example_ = false;
};

}  // namespace

std::string command_manual_page(std::span<const CommandWords> commands) {
  std::string page = head_of({"terrace", "1", "runs a web site from one file"});
  page +=
      ".SH SYNOPSIS\n\\fBterrace\\fR \\fICOMMAND\\fR [\\fIOPTIONS\\fR]\n"
      ".SH DESCRIPTION\nTerrace runs a web site from one file, \\fBsite.toml\\fR: web server, application "
      "server and database. The file is found by \\fB\\-\\-file\\fR; without it \\fB./site.toml\\fR, then "
      "\\fB/etc/terrace/site.toml\\fR.\n.SH COMMANDS\n";
  for (const CommandWords& command : commands) page += command_text(command);
  page +=
      ".SH EXIT STATUS\n.TP\n0\nFine.\n.TP\n1\nFindings or failure.\n.TP\n2\nCannot read the command line, "
      "the "
      "site file or the controller\\(aqs answer.\n"
      ".SH FILES\n.TP\n/etc/terrace/site.toml\nThe site of this server.\n.TP\n/var/lib/terrace\nIts "
      "database, "
      "releases and backups.\n.TP\n/run/terrace\nSockets.\n.TP\n/var/log/terrace\nLogs.\n"
      ".SH SEE ALSO\n.BR site.toml (5),\n/usr/share/doc/terrace\n";
  return page;
}

std::string manual_page_of_markdown(const PageHead& head, std::string_view markdown) {
  std::string page = head_of(head);
  MarkdownReader reader;
  while (!markdown.empty()) {
    const size_t end = std::min(markdown.find('\n'), markdown.size());
    page += reader.take(markdown.substr(0, end));
    markdown.remove_prefix(std::min(end + 1, markdown.size()));
  }
  page += reader.end_example();
  return page + ".SH SEE ALSO\n.BR terrace (1),\n/usr/share/doc/terrace\n";
}

}  // namespace terrace::program
