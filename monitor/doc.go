// Package monitor watches evidence logs from outside: it believes nothing that
// it is served, only what follows from the pinned policy in its trust file.
//
// A log is a folder of files (C2SP tlog-tiles), over HTTP or in a directory: its
// checkpoint, tiles of hashes, bundles of entries, and beside them bodies and
// evidence. [Verify] reads all of it once and says line by line what holds. A
// [Monitor] follows one or several logs for years from its own memory and raises
// an [Alarm] at whatever a lawful log never does:
//
//	m, err := monitor.New(monitor.Config{Dir: "/var/lib/reprosign-monitor", Logs: logs})
//	…
//	defer m.Close()
//	err = m.Run(ctx)
//
// # What is checked
//
// Each new checkpoint must carry the log's signature, and enough cosignatures if
// the trust names witnesses, and its tree must contain the tree seen before: the
// old root is computed again from tiles that fit the new root. Only then are entries
// read, each against the hashes of that tree, with their bodies. A
// [translog.Follower] says what each means under the policies in force then. Of
// every decision the evidence is fetched, and it is evaluated again from its votes,
// whether something was signed on it or not.
//
// # Memory
//
// What the entries of a log mean is written down line by line, and then the
// place that was reached, with the alarms: whatever interrupts the monitor, it
// goes on where it was, and raises no alarm twice. Losing the memory loses the
// alarms, not the truth: another pass over the log finds again all that can be
// found in it. What cannot is a history that was replaced before anybody looked.
package monitor
