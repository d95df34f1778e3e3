// Package bus carries messages between the parties over NATS: tasks to
// rebuilders, votes and receipts, the request API, and the coordinator's calls
// to the signer. It is the only package that knows NATS; all others know the
// messages in it.
//
// The bus is transport, never truth: PostgreSQL and the log are. A JetStream
// acknowledgement says that the bus has a vote, a signed receipt says that the
// coordinator has it. Everything that matters travels in signed envelopes, so
// that whoever rules the bus can delay and drop, but not invent.
//
// # Who may do what
//
// [PermissionsOf] is the one table of what each party may publish and hear.
// [ServerConfig] writes it as NATS configuration, docs/spec/bus.md shows it,
// and the tests try to break it. Coordinators and signers share the account
// HOUSE, where the streams are. Every rebuilder and every publisher is alone in
// an account of its own and reaches the house through imports of exactly its
// subjects. Permissions alone would not do: NATS does not check the reply
// subject of a request, and JetStream answers with the server's own rights. In
// a common account a rebuilder could ask for its next task with the reply
// subject $JS.API.STREAM.DELETE.VOTES, and the votes would be gone.
//
// # Use
//
//	conn, err := bus.Connect(ctx, bus.Config{
//		URL:      "tls://bus.example.org:4222",
//		SeedFile: "/etc/reprosign/nats.seed",
//		Identity: bus.Identity{Role: bus.RoleRebuilder, Name: "gamma"},
//		Logger:   logger,
//	})
//	if err != nil {
//		return err
//	}
//	defer conn.Close()
//	vote, err := bus.EncodeVote(bus.Vote{Envelope: statement, Artifacts: set, States: states})
//	if err != nil {
//		return err
//	}
//	if err := conn.PublishVote(ctx, "gamma", vote); err != nil {
//		return err // bus.KindOf(err) says what to do
//	}
//
// # Errors
//
// Every error of a call holds an [*Error], whether the other side refused, the
// NATS server did, or nobody answered: [KindOf] tells programs what to do about
// it. NATS reports a refused publication only beside the connection, and the
// caller would see a time-out; here the refusal ends the call at once.
package bus
