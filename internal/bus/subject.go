package bus

import "strings"

// Streams of JetStream, in the account of the house.
const (
	StreamTasks    = "TASKS"    // task.>
	StreamVotes    = "VOTES"    // vote.*
	StreamReceipts = "RECEIPTS" // receipt.*
	StreamEvents   = "EVENTS"   // event.>
)

const (
	houseAccount = "HOUSE"
	houseAPI     = "$JS.API"
	outsideAPI   = "js"

	// everyone is the name that addresses a task to all rebuilders.
	everyone = "all"

	// votesConsumer is the durable consumer that all coordinators share.
	votesConsumer = "coordinators"
	// signerQueue is the queue group of the signers, logQueue that of the
	// coordinators that answer for the log.
	signerQueue = "signers"
	logQueue    = "coordinators"

	subjectPolicy   = "api.v1.policy"
	subjectStatus   = "api.v1.status"
	subjectWithdraw = "api.v1.withdraw"
	subjectDecide   = "signer.v1.decide"
	subjectSign     = "signer.v1.sign"
	subjectLog      = "log.v1.read"
)

func taskSubject(rebuilder, suite string) string { return "task." + rebuilder + "." + suite }
func voteSubject(rebuilder string) string        { return "vote." + rebuilder }
func receiptSubject(rebuilder string) string     { return "receipt." + rebuilder }
func eventSubject(suite, state string) string    { return "event." + suite + "." + state }
func submitSubject(publisher string) string      { return "api.v1.submit." + publisher }
func receiptsSubject(rebuilder string) string    { return "api.v1.receipts." + rebuilder }
func complainSubject(rebuilder string) string    { return "api.v1.complain." + rebuilder }

func tasksConsumer(rebuilder string) string    { return "reb-" + rebuilder }
func receiptsConsumer(rebuilder string) string { return "rcpt-" + rebuilder }

// lastToken returns what follows the last dot: the party that a subject
// belongs to. The NATS server has checked that it is the sender.
func lastToken(subject string) string { return subject[strings.LastIndexByte(subject, '.')+1:] }

// topic is the first token of a subject, as the label of metrics.
func topic(subject string) string {
	first, _, _ := strings.Cut(subject, ".")
	return first
}
