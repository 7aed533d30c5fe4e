#pragma once

// The member's socket: <run>/cluster/member.sock, for commands about the whole site. On a
// server that is a member of one the command line asks here; about this server alone
// it asks the controller (control.h).
//
// Requests, progress lines and answers have the form of the control socket and its limits.
//
//   {"command": "ping"}
//     {"ok": true, "pid": 103}

namespace terrace::program {

// Commands at once; each may last as long as a deploy.
constexpr int kMemberConversationsMax = 32;

}  // namespace terrace::program
