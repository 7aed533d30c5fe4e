#pragma once

// The way of the state from a coordinator into etcd. The coordinator has written down that
// it is moving, and takes nothing meanwhile; then all entries are written to etcd, and
// last, in one transaction, the placement: from that moment on etcd has the state, and
// before it the coordinator. Killed anywhere, the same is done again.
//
// Each attempt first writes a key of its own, and every later write needs that key to be
// unchanged: what is left over of an attempt before, still on its way, does nothing.

#include "cluster/etcd_client.h"
#include "cluster/placement.h"
#include "cluster/state.h"

namespace terrace::cluster {

// Writes `all` and then `target`. Done also when an attempt before had come to its end.
// After an error nothing is known: try again.
Task<Result<void>> move_to_etcd(EtcdClient& client, Snapshot all, Placement target, Time deadline);

// Everything in an etcd whose placement says that the state leaves it, which is why
// nobody writes there any more.
Task<Result<Snapshot>> leave_etcd(EtcdClient& client, Placement target, Time deadline);

}  // namespace terrace::cluster
