// Package witness cosigns the checkpoints of transparency logs: a small server
// of C2SP tlog-witness that anybody may run, for reprosign's logs and for others.
//
// A witness looks at a log from outside. It remembers, for each log, the
// largest tree that it cosigned, and cosigns another one only if that provably
// continues it. A log that shows two histories to two people needs a witness
// that forgot one of them; so the memory is the witness, and comes before every
// answer:
//
//	check the log's signature → compare the size → check the proof → remember, durably → answer
//
// It knows nothing of what the log is about, and a cosignature says nothing
// about it. What a cosignature does say is the time.
//
//	w, err := witness.Open(witness.Config{Key: key, Logs: logs, Dir: "/var/lib/reprosign-witness"})
//	…
//	defer w.Close()
//	server := &http.Server{Handler: w.Handler()}
//
// # A witness that forgot
//
// The directory is made once, by [Create], and never by itself: a witness that
// started anew with the same key, because a disk was not mounted or a backup
// was put back, would cosign any history. Neither does a file in it that is gone
// pass for a log that was never cosigned: a list of those that were is kept beside
// the checkpoints. Whoever lost the directory makes a new key, and tells those who
// trust the old one. Only one process may use a directory at a time.
package witness
