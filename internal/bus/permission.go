package bus

import "time"

// Limits of answers. A service may answer each message it received once and
// within this time; it may publish to nobody's inbox otherwise.
const (
	// MaxAPITime bounds an answer of the request API; a status request waits MaxWait seconds of it.
	MaxAPITime = 2 * time.Minute
	// MaxSignerTime bounds an answer of the signer: a full set is 1,024 signatures of a slow device.
	MaxSignerTime = 10 * time.Minute
)

// Permissions are all that one party may do on the bus.
type Permissions struct {
	// Publish are the subjects that the party may publish to.
	Publish []string
	// Subscribe are the subjects that the party may hear, as "subject" or, for
	// members of a queue group only, as "subject group".
	Subscribe []string
	// Answer, if not zero, lets the party answer each message that reached it
	// once, within this time.
	Answer time.Duration
}

// PermissionsOf returns what a party may do. Nobody but a coordinator can read
// votes or ask a signer; nobody can publish a vote, a request, a complaint or a
// question about receipts under another's name.
func PermissionsOf(id Identity) Permissions {
	p := Permissions{Subscribe: []string{id.inbox() + ".>"}}
	switch id.Role {
	case RoleCoordinator:
		p.Publish = []string{"task.*.*", "receipt.*", "event.*.*", subjectDecide, subjectSign}
		for _, s := range []string{StreamTasks, StreamVotes, StreamReceipts, StreamEvents} {
			p.Publish = append(p.Publish, houseAPI+".STREAM.INFO."+s, houseAPI+".STREAM.CREATE."+s, houseAPI+".STREAM.UPDATE."+s)
		}
		p.Publish = append(p.Publish,
			houseAPI+".CONSUMER.CREATE."+StreamTasks+".>",
			houseAPI+".CONSUMER.CREATE."+StreamReceipts+".>",
			houseAPI+".CONSUMER.CREATE."+StreamVotes+"."+votesConsumer,
			houseAPI+".STREAM.PURGE."+StreamVotes)
		p.Publish = append(p.Publish, consuming(houseAPI, StreamVotes, votesConsumer)...)
		p.Subscribe = append(p.Subscribe, "api.v1.>", "$SRV.>", subjectLog+" "+logQueue)
		p.Answer = MaxAPITime
	case RoleSigner:
		// A signer asks for the log, and for the policies before its pinned one.
		p.Publish = []string{subjectLog, subjectPolicy}
		p.Subscribe = append(p.Subscribe, subjectDecide+" "+signerQueue, subjectSign+" "+signerQueue)
		p.Answer = MaxSignerTime
	case RoleRebuilder:
		p.Publish = []string{voteSubject(id.Name), receiptsSubject(id.Name), complainSubject(id.Name), subjectPolicy, subjectStatus, subjectWithdraw, subjectLog}
		p.Publish = append(p.Publish, consuming(outsideAPI, StreamTasks, tasksConsumer(id.Name))...)
		p.Publish = append(p.Publish, consuming(outsideAPI, StreamReceipts, receiptsConsumer(id.Name))...)
	case RolePublisher:
		p.Publish = []string{submitSubject(id.Name), subjectPolicy, subjectStatus, subjectWithdraw}
		p.Subscribe = append(p.Subscribe, "event.>")
	}
	return p
}

// consuming are the subjects for reading one durable consumer. Acknowledgements
// have a longer form where JetStream has a domain.
func consuming(api, stream, consumer string) []string {
	return []string{
		api + ".CONSUMER.INFO." + stream + "." + consumer,
		api + ".CONSUMER.MSG.NEXT." + stream + "." + consumer,
		"$JS.ACK." + stream + "." + consumer + ".>",
		"$JS.ACK.*.*." + stream + "." + consumer + ".>",
	}
}
