#pragma once

// The member's socket: <run>/cluster/member.sock, for commands about the whole site. On a
// server that is a member of one the command line asks here; about this server alone
// it asks the controller (control.h).
//
// Requests, progress lines and answers have the form of the control socket and its limits.
//
//   {"command": "ping"}
//     {"ok": true, "pid": 103, "member": true, "why": ""}
//     "member" false: this server has not joined, and "why".
//
//   {"command": "status"}
//     {"ok": true, "server": "web1",
//      "servers": [{"name": "web2", "address": "10.0.0.12", "roles": ["app", "web"], "joined": true,
//                   "answers": true, "clock_ahead_seconds": 0.1, "heard_seconds": 2.5,
//                   "status": {"server": "web2", "controller": {…}, "certificate_seconds": 250000.0,
//                              "authority": false, "roles": [...], "shared_version": 17,
//                              "shared": {"keeper": "coordinator", "holders": ["web1"], "heard": true},
//                              "problem": "…"},
//                   "error": "…"}]}
//     "controller" is the answer of that server's controller to `status`; "error" says why a
//     server does not answer. "heard_seconds" ago it last called this server or answered it;
//     absent when it did neither since this member began.
//
//   {"command": "logs", "server": "web2", "logs": ["app"], "lines": 20, "since": "…", …}
//     As in log_query.h; without "server" of all. Lines {"server": "web2", "lines": "app\tTEXT\n…"},
//     then {"ok": true, "unanswered": ["web3"]}
//
//   {"command": "on-server", "server": "web2", "question": {"command": "drain"}}
//     What that server's controller answers, with its progress; restart, drain and undrain.
//   {"command": "restart", "what": "app"}
//     One server after the other; {"ok": true, "instances": 4}
//
//   {"command": "change-secret", "name": "TOKEN", "value_hex": "…"}
//     {"ok": true, "version": 3, "behind": ["web3"]}: given to every server that runs the
//     application; those behind fetch it when they can. Without a value it is removed.
//
//   {"command": "token", "server": "web2", "life_seconds": 3600}
//     {"ok": true, "token": "terrace1.…", "server": "web2", "address": "10.0.0.11:7400",
//      "life_seconds": 3600}. Without "server": the only one that has not joined.
//   {"command": "revoke", "server": "web2"}
//     {"ok": true, "server": "web2", "held_authority": false}
//   {"command": "certificates"}
//     {"ok": true, "site": "…", "generation": 1, "authorities": ["…"], "holders": ["web1", "web2"],
//      "phase": "none" | "trusting" | "signing", "next": "…",
//      "servers": [{"name": "web1", "expires_seconds": 250000.0, "trusts": ["…"], "signer": "…",
//                   "traffic_signer": "…"}],
//      "revoked": [{"name": "web3", "age_seconds": 60.5}]}
//   {"command": "rotate"}
//     {"ok": true, "fingerprint": "…"}: begun; "phase" shows how far it is.

namespace terrace::program {

// Commands at once; each may last as long as a deploy.
constexpr int kMemberConversationsMax = 32;

}  // namespace terrace::program
