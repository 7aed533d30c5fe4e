#pragma once

// Which of the site's servers this machine is.

#include <expected>
#include <span>
#include <string>
#include <vector>

#include "net/address.h"
#include "topology/site.h"

namespace terrace::program {

// Of the interfaces that are up; without those of this machine alone (loopback).
std::vector<net::Ip> own_addresses();

// The name of our entry in [servers]: `named` (what the machine joined as, or `up --server`), else
// the only entry, else the one whose address is among `addresses`. Empty for a site without
// [servers]. The error, in words for a person, that no entry fits or several do.
std::expected<std::string, std::string> own_server(const topology::Site& site, const std::string& named,
                                                   std::span<const net::Ip> addresses);

// Whether this machine, which that entry is, is a load balancer and nothing else: it runs no
// application, is given none of its secrets, and needs a release for its error pages only.
bool only_balances(const topology::Site& site, const std::string& own);

}  // namespace terrace::program
