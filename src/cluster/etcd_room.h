#pragma once

#include "cluster/etcd_client.h"

namespace terrace::cluster {

// What etcd may keep on disk, former revisions and all: the state has kStateBytesMax at
// most, and etcd drops what is old every five minutes. Beyond it, it takes no writes.
constexpr int64_t kEtcdQuotaBytes = 256 << 20;

// When etcd on this server has used half of `quota`, or has stopped writes because one of
// its members had used all of it: drops every former revision, gives the pages back and lets
// writes pass again, as far as that is this member's to decide. Each voter does it for its
// own disk; meanwhile, a part of a second, its etcd answers nobody.
Task<Result<void>> make_room(EtcdClient& client, int64_t quota, Time deadline);

}  // namespace terrace::cluster
