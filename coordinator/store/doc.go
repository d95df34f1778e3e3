// Package store keeps the coordinator's truth in PostgreSQL (design §4, §5). It
// holds all SQL of the project and is the only importer of pgx.
//
// # Two types for two rights
//
// A [Writer] is the coordinator's memory ([coordinator.Store] and
// [coordinator.LogStore]); a [Reader] is what the public face gets. Each sets
// its group role when it connects, so that a login with more rights still works
// with no more than these: the writer may add signed statements and never change
// or delete one, the reader sees the views of the schema public_face.
//
//	if err := store.Migrate(ctx, ownerDSN); err != nil { … }
//	writer, err := store.OpenWriter(ctx, dsn, logger)
//	reader, err := store.OpenReader(ctx, readOnlyDSN)
//
// # How writes are made safe
//
// Whatever reads a release to change it locks the release's row first. That
// statement may return the row itself and what never changes, and nothing else: a
// count in it, or before it, would miss votes that commit meanwhile, and a quorum
// would never be recorded. Rows are locked in the order of their ids. Work is
// leased with a number (the fence) that every result has to name again.
// Notifications (LISTEN/NOTIFY) only make work start sooner; what is due stands in
// the rows.
//
// # Errors
//
// A lost connection, a server that shuts down and a conflict between
// transactions all come out as [coordinator.ErrUnavailable]: nothing was
// stored, or it is not known whether it was, and the call may be repeated.
package store
