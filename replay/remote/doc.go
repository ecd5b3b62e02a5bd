// Package remote drives a replay from another process: the same HTTP on a Unix
// socket ([ListenUnix]) and on an address ([ListenTCP]).
//
// [Handler] answers GET /status with a [replay.Status], GET /events with JSON lines,
// each an [Event], and POST /pause, /resume, /step, /skip, /cut, /restore and /stop
// with the [replay.Act]. What a command needs stands in the query or in a JSON
// object ([Request]). An error is an object with the field "error".
//
// A page in a browser cannot reach it: requests of other origins are refused, and
// so are names other than localhost that resolve to this machine (DNS rebinding).
// There is no authentication: who can reach the address can drive the replay.
package remote
