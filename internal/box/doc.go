// Package box runs what a single machine needs and does not have: a private
// PostgreSQL cluster and an embedded NATS server, both owned by the calling
// process (design §5, "Single box"). The demo, the coordinator without
// configured services, and every test against a real database start them here.
//
// Nothing in the box can be reached from another machine unless the NATS
// configuration asks for it. PostgreSQL has no TCP listener at all: its socket
// lies in a directory of mode 0700, so that only the account it runs under, and
// root, can connect. Within that directory any database user is trusted.
//
// The servers share the life of their owner. PostgreSQL is a child process
// which the kernel ends when the owner dies, however it dies; NATS runs inside
// the owner. Neither can be left behind to hold a port, a socket or a lock.
//
//	pg, err := box.StartPostgres(ctx, box.PostgresOptions{
//		Dir:     "/var/lib/reprosign/postgres",
//		Durable: true,
//		Logger:  logger,
//	})
//	if err != nil {
//		return err
//	}
//	defer pg.Stop()
//	if err := pg.EnsureDatabase(ctx, "reprosign"); err != nil {
//		return err
//	}
//	pool, err := store.Open(ctx, pg.DSN("reprosign", "postgres"))
//
// The package works on Linux only: the tie between owner and child is the
// kernel's parent-death signal.
package box
