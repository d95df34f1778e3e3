package box

// SyncsAlways reports whether every message is on disk before it is
// acknowledged. Only a power failure would show it from outside.
func (n *NATS) SyncsAlways() bool { return n.server.JetStreamConfig().SyncAlways }

// TemporaryRoot is where throw-away clusters are.
var TemporaryRoot = temporaryRoot
