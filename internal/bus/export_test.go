package bus

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/nats-io/nats.go"

	"github.com/reprosign/reprosign/attest/canonical"
)

// Raw is the connection itself: tests try what the typed calls would not.
func (c *Conn) Raw() *nats.Conn { return c.nc }

// Inbox is the prefix of a party's inboxes, for attacks on them.
var Inbox = Identity.inbox

// MaxLogGuests is how many questions of agents for the log may wait.
const MaxLogGuests = maxLogGuests

// Collect is how a batch is filled.
var Collect = collect

// PermissionTable is the table of docs/spec/bus.md, for parties with
// placeholders as names.
func PermissionTable() string {
	var b strings.Builder
	b.WriteString("| Party | May publish | May subscribe | May answer |\n| --- | --- | --- | --- |\n")
	for _, role := range []Role{RoleCoordinator, RoleSigner, RoleRebuilder, RolePublisher} {
		p := PermissionsOf(Identity{role, "<name>"})
		answer := "nothing"
		if p.Answer != 0 {
			answer = "each message once, within " + p.Answer.String()
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", role, cell(p.Publish), cell(p.Subscribe), answer)
	}
	return b.String()
}

func cell(subjects []string) string {
	if len(subjects) == 0 {
		return "nothing"
	}
	return "`" + strings.Join(subjects, "`<br>`") + "`"
}

// Answerable reports whether a service that one role of the house may ask, or
// any if it is empty, answers to a reply subject.
func Answerable(asker Role, reply string) bool { return (&endpoint{asker: asker}).answerable(reply) }

// Encode and Decode are how a message comes to its bytes and back, EncodeOver as
// a service does it that has done it before.
func Encode(m any) ([]byte, error) {
	var b bytes.Buffer
	err := encodeInto(&b, m)
	return b.Bytes(), err
}

func Decode[M any](data []byte, m *M) error { return decode(data, MaxMessage, m) }

// Walk reads a message that is canonical JSON, and no other.
func Walk[M any](data []byte, m *M) error {
	return canonical.Read(data, MaxMessage, any(m).(walked).walk)
}

var scratch buffers

func EncodeOver(m any) error {
	b := scratch.get()
	defer scratch.put(b)
	return encodeInto(b, m)
}
