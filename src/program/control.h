#pragma once

// The control socket: <run>/control.sock, mode 0600, served by the controller. As root it is
// 0660 for the member's group: the member asks here what people ask.
//
// One JSON object on one line is the request, one JSON object on one line the
// answer; then the controller closes. A request has at most 64 KiB, an answer
// at most 1 MiB, and both come within the times below.
//
// Before its answer a long command says what it is doing, an object per line:
//   {"progress": "backup", "line": "checking the copy"}
// It goes on when the client leaves.
//
// Every answer has "ok": true or false; with false an "error" for a person, and
// for a refused site file "diagnostics": [text, …], each as `terrace check` prints it.
//
//   {"command": "status"}
//     {"ok": true,
//      "site": "shop", "path": "/etc/terrace/site.toml", "version": 3,
//      "state": "starting" | "serving" | "stopping",
//      "release": 7,                       0: none yet
//      "drained": false,
//      "applied": 12,                      the site file's version in the history of a site of
//                                          several servers; absent elsewhere
//      "deploy": {"release": 8, "phase": "build"},   absent when none is under way
//      "error": "…",                       absent unless a reload was refused last
//      "program": {"version": "0.1.0", "upgrades": 0},
//      "supervisor": {"pid": 100},
//      "controller": {"pid": 101, "starts": 1},
//      "member": {"pid": 103, "starts": 1},          pid 0: none is needed
//      "worker": {"pid": 102, "starts": 2, "connected": true,
//                 "retiring": 0},            workers of before an upgrade that finish
//      "listeners": [{"purpose": "web" | "admin", "address": "127.0.0.1:8080",
//                     "bound": "127.0.0.1:8080", "error": "Address already in use"}],
//      "instances": [{"name": "app-1", "slot": 0, "generation": 7, "pid": 110,
//                     "state": "starting" | "up" | "draining" | "stopping" | "waiting" | "crash-loop",
//                     "address": "127.0.0.1:20001" | "unix:/run/terrace/app/1-7.sock",
//                     "uptime_seconds": 12.5, "restarts": 2, "retry_seconds": 0.4,
//                     "last_exit": "exit status 1" | "signal 9 (Killed)" | "out of memory",
//                     "last_output": ["line", …],
//                     "requests": 10, "failures": 0, "in_flight": 1}],
//      "totals": {"connections": 1, "connections_open": 1, "requests": 10, "in_flight": 0,
//                 "queued": 0, "statuses": {"1xx": 0, …, "5xx": 0}, "bytes_sent": 1234,
//                 "duration_seconds": 0.5},   absent while the worker does not answer
//      "backup": {"running": false, "failures": 0, "name": "shop-…", "age_seconds": 60.5,
//                 "bytes": 1234, "database_bytes": 8192, "error": "…", "next_seconds": 86340},
//        with an embedded database; name to database_bytes are of the last good one,
//        "error" is there when the last attempt failed, "next_seconds" when one is due
//      "isolation": "namespace" | "subreaper",   of the instances; absent without any
//      "limits": "none" | "cgroup v1" | "cgroup v2" | "rlimit"}
//
//   {"command": "reload"}
//     {"ok": true, "version": 4, "changed": ["web", "app"]}
//     The answer comes when the file is accepted or refused; a change of [app]
//     then rolls in the background.
//
//   {"command": "restart", "what": "app"}
//     {"ok": true, "instances": 2}
//     Answered when the last instance is replaced and healthy, or
//     {"ok": false, "error": "…"} when a new one did not become healthy: the old
//     ones then stay.
//
//   {"command": "upgrade"}
//     The supervisor becomes the program that is installed now. When that works the
//     connection ends without an answer, and `status` counts one more in "upgrades".
//     Else {"ok": false, "error": "…", "busy": true}; busy: it is worth asking again.
//
//   {"command": "deploy", "by": "anna@192.0.2.7"}
//     {"ready": true, "release": 7}: now the client sends a tar archive in frames
//     (upload.h). Progress lines follow, whose word is the phase: "upload", "prepare",
//     "build", "migrate", "start", "bake"; last
//     {"ok": true, "release": 7, "serving": 7, "seconds": 75.5} or
//     {"ok": false, "error": "…", "release": 7, "serving": 6, "phase": "build",
//      "output": ["line", …], "seconds": 3.1}
//     "serving" 0 is the site's own folder. Without "ready" it is refused at once.
//
//   {"command": "rollback", "by": "…"}
//     The same without an upload; the phase is "start".
//
//   {"command": "cancel-deploy"}
//     {"ok": true} when the deploy will end without its switch; that it has ended is
//     said to who asked for it.
//
//   {"command": "releases"}
//     {"ok": true, "current": 7, "previous": 6,
//      "releases": [{"number": 7, "made": 1700000000, "state": "ready" | "building" | "failed",
//                    "bytes": 20480, "reason": "…"}],
//      "deploy": {"release": 8, "rollback": false, "phase": "build", "by": "…",
//                 "since": 1700000000, "seconds": 12.5}}    absent when none is under way
//
//   {"command": "backup"}
//     {"ok": true, "backup": "shop-2026-11-23T020000Z.sqlite.zst", "bytes": 1234,
//      "database_bytes": 8192, "rows": 10, "kept": 3, "seconds": 0.4}
//
//   {"command": "restore", "backup": "shop-2026-11-23T020000Z.sqlite.zst"}
//     {"ok": true, "backup": "…", "database_bytes": 8192, "rows": 10, "seconds": 1.5,
//      "kept": "before-restore-2026-11-23T021500Z.sqlite3"}
//     Answered when the instances serve again. It replaces the database: to ask whether
//     that is wanted is the matter of who sends it.
//
// What follows is asked by the member of a site of several servers, which decides with
// the members of the others. "frames" are those of upload.h.
//
//   {"command": "served"}
//     {"ok": true, "started": true, "applied": 12, "release": 7, "previous": 6, "last": 8,
//      "ready": [6, 7], "drained": false, "busy": false}
//     What this server is now; "ready" are the releases that could serve.
//
//   {"command": "take-site", "version": 12, "check_only": false, "name": "new.toml"}, then the
//   text in frames
//     {"ok": true, "changed": ["web: …"], "warnings": "…"}
//     The file is checked as a reload checks it, its ports are tried; then it is written
//     in the place of the site file and accepted. "check_only": nothing is changed. "name"
//     is how diagnostics call the file.
//
//   {"command": "build-release", "release": 8, "by": "…"}
//     As `deploy` up to its phase "build", with that number; the release then is ready and
//     does not serve. {"ok": true, "release": 8, "serving": 7, "seconds": 3.1}
//   {"command": "stage-release", "release": 8, "by": "…"}
//     The same for what another server has built and packed.
//   {"command": "migrate-release", "release": 8, "by": "…"}
//   {"command": "switch-release", "release": 8, "by": "…", "bake": true}
//     Whatever ready release serves now serves no longer, this one does; 0 is the site's
//     own folder. Phases "start" and, with "bake", "bake". Once more: nothing happens.
//   {"command": "fail-release", "release": 8, "reason": "…"}
//     It is given up and its files go.
//   {"command": "pack-release", "release": 8}
//     {"ready": true, "release": 8}, the files as a tar archive in frames, {"ok": true}.
//
//   {"command": "drain", "limit_seconds": 30}
//     {"ok": true, "connections": 0}: no address of the web is listened on any more, and so
//     many connections were still open at the limit.
//   {"command": "undrain"}
//     {"ok": true}
//
//   {"command": "store-secret", "name": "TOKEN"}, then the value in frames
//   {"command": "remove-secret", "name": "TOKEN"}
//     {"ok": true}; taken with the next version of the site file, or the next reload.
//   {"command": "read-secrets"}
//     {"ready": true}, all of them as SecretFolder::pack() writes them in frames, {"ok": true}.
//
//   {"command": "stop"}
//     {"ok": true}, then the site stops as on SIGTERM. The socket is gone when it has.

#include <chrono>
#include <cstddef>

namespace terrace::program {

constexpr size_t kControlRequestBytesMax = 64 << 10;
constexpr size_t kControlAnswerBytesMax = 1 << 20;
constexpr std::chrono::seconds kControlRequestTimeout{5};
// `restart` may take start_timeout + drain + grace for each instance.
constexpr std::chrono::minutes kControlAnswerTimeout{30};

}  // namespace terrace::program
