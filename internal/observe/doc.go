// Package observe is what every process shows of itself: its log, its metrics
// and health over HTTP, and its state to systemd.
//
//	logger, err := observe.NewLogger(os.Stderr, "json", "info")
//	…
//	return observe.Run(ctx, observe.Options{
//		Listen:   cfg.Listen,
//		Registry: registry,
//		Ready:    []observe.Check{{Name: "nats", Run: conn.Check}},
//		Logger:   logger,
//	}, func(ctx context.Context, ready func()) error {
//		ready()
//		return coordinator.Run(ctx)
//	})
//
// The HTTP server is for operators: it has no authentication and belongs on a
// private address.
package observe
