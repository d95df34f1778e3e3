package bus

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nkeys"

	"github.com/reprosign/reprosign/attest/policy"
)

// maxPayload is the max_payload of the server: a full message and its headers.
const maxPayload = MaxMessage + 4<<10

// ServerOptions are the parts of a NATS configuration that no policy decides.
type ServerOptions struct {
	// AccountsOnly leaves out everything but the accounts: a file for an
	// include in the configuration of a cluster, which then must set
	// max_payload to at least 4 MiB + 4 KiB and have a jetstream block.
	AccountsOnly bool
	Listen       string // host:port; empty means 127.0.0.1:4222
	WebSocket    string // host:port for WebSocket clients; empty means none
	StoreDir     string // where JetStream keeps its streams
	// SyncInterval is how long acknowledged messages may be in memory only.
	// Zero syncs each one to the disk: the right choice for a single server.
	SyncInterval time.Duration
	// TLSCert and TLSKey are PEM files; empty means no TLS.
	TLSCert, TLSKey string
}

// member is a party of a policy with its public nkey.
type member struct {
	Identity

	nkey string
}

// ServerConfig returns the NATS configuration for the parties of a policy, in
// the format of nats-server's configuration files. The same text configures
// the embedded server of a single box. A new policy needs a reload.
func ServerConfig(p *policy.Policy, o ServerOptions) (string, error) {
	members, err := membersOf(p)
	if err != nil {
		return "", fmt.Errorf("writing the NATS configuration: %w", err)
	}
	w := &configWriter{}
	w.line("# NATS for policy %d. Written by reprosign; docs/spec/bus.md explains it.", p.Serial)
	if !o.AccountsOnly {
		w.server(o)
	}
	w.open("accounts")
	w.house(members)
	for _, m := range members {
		if m.outside() {
			w.account(m)
		}
	}
	w.close()
	if w.err != nil {
		return "", fmt.Errorf("writing the NATS configuration: %w", w.err)
	}
	return w.text.String(), nil
}

// membersOf lists the parties that have a key for NATS, in the order of the policy.
func membersOf(p *policy.Policy) ([]member, error) {
	var all []member
	for _, c := range p.Coordinators {
		all = append(all, member{Identity{RoleCoordinator, c.Key.Name()}, c.NATS})
	}
	for _, s := range p.Signers {
		all = append(all, member{Identity{RoleSigner, s.Key.Name()}, s.NATS})
	}
	for _, r := range p.Rebuilders {
		all = append(all, member{Identity{RoleRebuilder, r.Key.Name()}, r.NATS})
	}
	for _, b := range p.Publishers {
		all = append(all, member{Identity{RolePublisher, b.Key.Name()}, b.NATS})
	}
	var members []member
	names, keys := map[Identity]bool{}, map[string]Identity{}
	for _, m := range all {
		if err := m.Check(); err != nil {
			return nil, err
		}
		if names[m.Identity] {
			return nil, fmt.Errorf("%s is in the policy twice", m)
		}
		names[m.Identity] = true
		if m.nkey == "" {
			continue // has not connected yet, or never will
		}
		if !nkeys.IsValidPublicUserKey(m.nkey) {
			return nil, fmt.Errorf("%s: %q is not a public user nkey", m, m.nkey)
		}
		if other, used := keys[m.nkey]; used {
			return nil, fmt.Errorf("%s and %s have the same nkey", other, m)
		}
		keys[m.nkey] = m.Identity
		members = append(members, m)
	}
	return members, nil
}

// configWriter writes the configuration with indentation and remembers the first error.
type configWriter struct {
	text  strings.Builder
	depth int
	err   error
}

func (w *configWriter) line(format string, args ...any) {
	w.text.WriteString(strings.Repeat("  ", w.depth))
	fmt.Fprintf(&w.text, format, args...)
	w.text.WriteByte('\n')
}

func (w *configWriter) open(name string) {
	w.line("%s {", name)
	w.depth++
}

func (w *configWriter) close() {
	w.depth--
	w.line("}")
}

// quoted writes a value. NATS knows no escape that would be the same in all
// its versions, and no honest path or address needs one.
func (w *configWriter) quoted(s string) string {
	if strings.ContainsAny(s, "\"\\\r\n$") && w.err == nil {
		w.err = fmt.Errorf("value %q holds a quotation mark, backslash, dollar sign or line break", s)
	}
	return `"` + s + `"`
}

func (w *configWriter) server(o ServerOptions) {
	listen := o.Listen
	if listen == "" {
		listen = "127.0.0.1:4222"
	}
	w.line("listen: %s", w.quoted(listen))
	w.line("max_payload: %d", maxPayload)
	w.open("jetstream")
	if o.StoreDir != "" {
		w.line("store_dir: %s", w.quoted(o.StoreDir))
	}
	if o.SyncInterval == 0 {
		w.line("sync_interval: always")
	} else {
		w.line("sync_interval: %s", w.quoted(o.SyncInterval.String()))
	}
	w.close()
	if (o.TLSCert == "") != (o.TLSKey == "") && w.err == nil {
		w.err = errors.New("TLS needs both a certificate and a key file")
	}
	tls := o.TLSCert != "" && o.TLSKey != ""
	if tls {
		w.tls(o)
	}
	if o.WebSocket != "" {
		w.open("websocket")
		w.line("listen: %s", w.quoted(o.WebSocket))
		if tls {
			w.tls(o)
		} else {
			w.line("no_tls: true")
		}
		w.close()
	}
}

func (w *configWriter) tls(o ServerOptions) {
	w.open("tls")
	w.line("cert_file: %s", w.quoted(o.TLSCert))
	w.line("key_file: %s", w.quoted(o.TLSKey))
	w.close()
}

// house writes the account of coordinators and signers, where the streams are,
// and what it exports, each subject to the accounts that need it.
func (w *configWriter) house(members []member) {
	w.open(houseAccount)
	w.line("jetstream: enabled")
	w.line("users: [")
	for _, m := range members {
		if !m.outside() {
			w.user(m)
		}
	}
	w.line("]")
	w.line("exports: [")
	accounts := map[string][]string{}
	var order []string
	grant := func(kind, subject, account string) {
		key := kind + ": " + `"` + subject + `"`
		if _, known := accounts[key]; !known {
			order = append(order, key)
		}
		accounts[key] = append(accounts[key], account)
	}
	for _, m := range members {
		if !m.outside() {
			continue
		}
		for _, subject := range PermissionsOf(m.Identity).Publish {
			grant("service", houseSubject(subject), m.account())
		}
		for _, subject := range heard(m.Identity) {
			grant("stream", subject, m.account())
		}
	}
	for _, key := range order {
		response := ""
		if strings.Contains(key, ".CONSUMER.MSG.NEXT.") {
			response = ", response: stream" // one pull request, many messages
		}
		w.line("  { %s%s, accounts: [%s] }", key, response, strings.Join(accounts[key], ", "))
	}
	w.line("]")
	w.close()
}

// account writes the account of one party outside the house.
func (w *configWriter) account(m member) {
	w.open(m.account())
	w.line("users: [")
	w.user(m)
	w.line("]")
	w.line("imports: [")
	for _, subject := range PermissionsOf(m.Identity).Publish {
		to := ""
		if house := houseSubject(subject); house != subject {
			to = fmt.Sprintf(`, to: "%s"`, subject)
		}
		w.line(`  { service: { account: %s, subject: "%s" }%s }`, houseAccount, houseSubject(subject), to)
	}
	for _, subject := range heard(m.Identity) {
		w.line(`  { stream: { account: %s, subject: "%s" } }`, houseAccount, subject)
	}
	w.line("]")
	w.close()
}

func (w *configWriter) user(m member) {
	p := PermissionsOf(m.Identity)
	w.depth++
	w.line("{ nkey: %s, permissions: {", m.nkey)
	w.list("publish", p.Publish)
	w.list("subscribe", p.Subscribe)
	if p.Answer != 0 {
		w.line("  allow_responses: { max: 1, expires: \"%s\" }", p.Answer)
	}
	w.line("} }")
	w.depth--
}

// list writes the subjects of a permission. An empty list would mean everything to NATS.
func (w *configWriter) list(name string, subjects []string) {
	if len(subjects) == 0 {
		w.line("  %s: { deny: [\">\"] }", name)
		return
	}
	w.line("  %s: [", name)
	for _, s := range subjects {
		w.line("    \"%s\"", s)
	}
	w.line("  ]")
}

// houseSubject is the subject's name in the house.
func houseSubject(subject string) string {
	if rest, ok := strings.CutPrefix(subject, outsideAPI+"."); ok {
		return houseAPI + "." + rest
	}
	return subject
}

// heard are the subjects of the house that a party outside may subscribe to:
// all but its inbox, whose messages come as answers to its requests.
func heard(id Identity) []string {
	var subjects []string
	for _, s := range PermissionsOf(id).Subscribe {
		if !strings.HasPrefix(s, id.inbox()) {
			subjects = append(subjects, s)
		}
	}
	return subjects
}
