#include "program/site_addresses.h"

#include <algorithm>

namespace terrace::program {
namespace {

using topology::Role;

bool takes_visitors(const topology::Site& site, const topology::Server* own) {
  return own == nullptr || !has_role(site, Role::kLb) || has_role(*own, Role::kLb);
}

// Some other server's load balancer sends requests here.
bool takes_the_hop(const topology::Site& site, const topology::Server* own) {
  if (own == nullptr || !has_role(*own, Role::kWeb)) return false;
  return std::ranges::any_of(site.servers, [own](const topology::Server& other) {
    return other.name != own->name && has_role(other, Role::kLb);
  });
}

}  // namespace

std::vector<SiteAddress> addresses_of(const topology::Site& site, const topology::Server* own) {
  std::vector<SiteAddress> all;
  const auto add = [&all](Purpose purpose, const std::string& address) {
    const SiteAddress one{.purpose = purpose, .address = address};
    if (!address.empty() && std::ranges::find(all, one) == all.end()) all.push_back(one);
  };
  if (takes_visitors(site, own)) {
    for (const std::string& address : site.web.listen) add(Purpose::kWeb, address);
  }
  if (takes_the_hop(site, own)) add(Purpose::kHop, topology::at_port(*own, site.lb.port));
  if (own != nullptr && has_role(*own, Role::kLb)) {
    for (const topology::LbPool& pool : site.lb_pools) {
      for (const std::string& address : pool.tcp) add(Purpose::kTcp, address);
    }
  }
  add(Purpose::kAdmin, site.site.admin);
  return all;
}

bool takes_visitors(Purpose purpose) { return purpose != Purpose::kAdmin; }

}  // namespace terrace::program
