#include <fmt/format.h>

#include <algorithm>

#include "topology/fields.h"
#include "topology/load.h"

namespace terrace::topology {
namespace {

using config::Field;
using config::Table;

// A secret's key, or a part of it: "app.env" hides "app.env.TOKEN" as well.
bool hidden(const Site& site, const std::string& path) {
  return std::ranges::any_of(site.hidden, [&](const std::string& key) {
    return key == path || path.starts_with(key + ".") || key.starts_with(path + ".");
  });
}

const Named* find(const std::vector<Named>& table, const std::string& name) {
  const auto found = std::ranges::find(table, name, &Named::name);
  return found != table.end() ? &*found : nullptr;
}

std::string shown(const Field& field) {
  const std::string value = value_as_toml(field);
  return value.empty() ? "none" : value;
}

class Difference {
 public:
  Difference(const Site& before, const Site& after) : before_(before), after_(after) {}

  std::vector<std::string> lines() {
    // The tables bind to variables that may be written; ours are copies.
    Site old = before_;
    Site now = after_;
    const std::vector<Table> old_tables = site_tables(old);
    const std::vector<Table> now_tables = site_tables(now);
    for (size_t t = 0; t < now_tables.size(); ++t) {
      for (size_t f = 0; f < now_tables[t].fields.size(); ++f)
        compare(now_tables[t].name, old_tables[t].fields[f], now_tables[t].fields[f]);
      if (now_tables[t].name == "servers")
        compare_servers(old_tables[t], now_tables[t]);
      else if (now_tables[t].entry)
        compare_entries(old_tables[t], now_tables[t]);
    }
    return std::move(lines_);
  }

 private:
  // `at`: the table, or one entry of it.
  void compare(std::string_view at, const Field& old, const Field& now) {
    if (value_as_toml(old) == value_as_toml(now)) return;
    const std::string path = fmt::format("{}.{}", at, now.name);
    if (const auto* const* named = std::get_if<std::vector<Named>*>(&now.slot))
      return compare_names(at, now, *std::get<std::vector<Named>*>(old.slot), **named);
    if (now.secret || hidden(before_, path) || hidden(after_, path))
      lines_.push_back(fmt::format("{}: {} changed", at, now.name));
    else
      lines_.push_back(fmt::format("{}: {} {} -> {}", at, now.name, shown(old), shown(now)));
  }

  void compare_names(std::string_view at, const Field& field, const std::vector<Named>& old,
                     const std::vector<Named>& now) {
    const std::string in = fmt::format("{}: {}", at, field.name);
    const size_t lines = lines_.size();
    for (const Named& entry : old) {
      if (find(now, entry.name) == nullptr) lines_.push_back(fmt::format("{} `{}` removed", in, entry.name));
    }
    for (const Named& entry : now) {
      const Named* was = find(old, entry.name);
      const std::string path = fmt::format("{}.{}.{}", at, field.name, entry.name);
      const bool secret = field.secret || hidden(before_, path) || hidden(after_, path);
      if (was == nullptr)
        lines_.push_back(fmt::format("{} `{}` added", in, entry.name));
      else if (was->value != entry.value)
        lines_.push_back(secret ? fmt::format("{} `{}` changed", in, entry.name)
                                : fmt::format("{} `{}` {} -> {}", in, entry.name,
                                              config::toml_string(was->value),
                                              config::toml_string(entry.value)));
    }
    if (lines_.size() == lines) lines_.push_back(in + " in another order");
  }

  void compare_entries(const Table& old, const Table& now) {
    const std::vector<std::string> old_names = old.names();
    const std::vector<std::string> names = now.names();
    const auto is_in = [](const std::vector<std::string>& among, const std::string& name) {
      return std::ranges::find(among, name) != among.end();
    };
    for (const std::string& name : old_names) {
      if (!is_in(names, name)) lines_.push_back(fmt::format("{}: `{}` removed", now.name, name));
    }
    for (const std::string& name : names) {
      if (is_in(old_names, name))
        compare_entry(name, old, now);
      else
        lines_.push_back(fmt::format("{}: `{}` added", now.name, name));
    }
    if (old_names != names && std::ranges::is_permutation(old_names, names))
      lines_.push_back(fmt::format("{} in another order", now.name));
  }

  void compare_entry(const std::string& name, const Table& old, const Table& now) {
    const std::vector<Field> was = old.entry(name);
    const std::vector<Field> is = now.entry(name);
    for (size_t i = 0; i < is.size(); ++i) compare(fmt::format("{}.{}", now.name, name), was[i], is[i]);
  }

  static const Server* find_server(const Site& site, const std::string& name) {
    const auto found = std::ranges::find(site.servers, name, &Server::name);
    return found != site.servers.end() ? &*found : nullptr;
  }

  void compare_servers(const Table& old, const Table& now) {
    for (const Server& server : before_.servers) {
      if (find_server(after_, server.name) == nullptr) say(server, "leaves the site");
    }
    for (const Server& server : after_.servers) {
      if (const Server* was = find_server(before_, server.name)) {
        compare_server(*was, server);
        compare_weight(server.name, old, now);
      } else {
        say(server, fmt::format("joins the pool: {} at {}", words_of(server), server.address));
      }
    }
  }

  void compare_server(const Server& was, const Server& now) {
    if (was.address != now.address) say(now, fmt::format("moves from {} to {}", was.address, now.address));
    for (const Role role : now.roles) {
      if (!has(was, role)) say(now, fmt::format("takes the role `{}`", word_of(role)));
    }
    for (const Role role : was.roles) {
      if (!has(now, role)) say(now, fmt::format("gives the role `{}` up", word_of(role)));
    }
    if (was.address == now.address && was.roles.size() == now.roles.size() && was.roles != now.roles &&
        std::ranges::is_permutation(was.roles, now.roles))
      say(now, "has its roles in another order");
  }

  void compare_weight(const std::string& name, const Table& old, const Table& now) {
    const std::vector<Field> was = old.entry(name);
    const std::vector<Field> is = now.entry(name);
    for (size_t i = 0; i < is.size(); ++i) {
      if (is[i].name == "weight") compare(fmt::format("servers.{}", name), was[i], is[i]);
    }
  }

  void say(const Server& server, const std::string& what) {
    lines_.push_back(fmt::format("servers: `{}` {}", server.name, what));
  }

  static bool has(const Server& server, Role role) {
    return std::ranges::find(server.roles, role) != server.roles.end();
  }

  static std::string words_of(const Server& server) {
    std::string words;
    for (const Role role : server.roles) words += (words.empty() ? "" : ", ") + std::string(word_of(role));
    return words;
  }

  static std::string_view word_of(Role role) {
    switch (role) {
      case Role::kLb:
        return "lb";
      case Role::kWeb:
        return "web";
      case Role::kApp:
        return "app";
      case Role::kDb:
        return "db";
      case Role::kMonitor:
        return "monitor";
    }
    return "";
  }

  const Site& before_;
  const Site& after_;
  std::vector<std::string> lines_;
};

void describe_names(std::string& out, const Site& site, const std::string& path, const Field& field,
                    const std::vector<Named>& table) {
  if (table.empty()) out += path + " = {}\n";
  for (const Named& entry : table) {
    const bool secret = field.secret || hidden(site, path + "." + entry.name);
    out += fmt::format("{}.{} = {}\n", path, config::toml_key(entry.name),
                       secret ? "***" : config::toml_string(entry.value));
  }
}

void describe_field(std::string& out, const Site& site, const std::string& path, const Field& field) {
  if (const auto* const* named = std::get_if<std::vector<Named>*>(&field.slot))
    return describe_names(out, site, path, field, **named);
  const std::string value = value_as_toml(field);
  const bool secret = (field.secret && !value.empty()) || hidden(site, path);
  out += fmt::format("{} = {}\n", path, secret ? "***" : value.empty() ? "\"\"" : value);
}

}  // namespace

std::vector<std::string> difference(const Site& before, const Site& after) {
  return Difference(before, after).lines();
}

std::string describe(const Site& site) {
  Site copy = site;
  std::string out;
  for (const Table& table : site_tables(copy)) {
    for (const Field& field : table.fields) {
      if (field.later.empty()) describe_field(out, copy, fmt::format("{}.{}", table.name, field.name), field);
    }
    if (!table.entry) continue;
    for (const std::string& name : table.names()) {
      for (const Field& field : table.entry(name))
        describe_field(out, copy, fmt::format("{}.{}.{}", table.name, name, field.name), field);
    }
  }
  return out;
}

}  // namespace terrace::topology
