// Package program is what the long-running programs of the house have in common:
// their command, the settings that all of them have, and the order in which they
// start and stop. What is left to a program says what it is:
//
//	func main() { os.Exit(program.Main(newCommand(os.Environ()))) }
//
//	type settings struct {
//		Listen string      `toml:"listen" help:"address for metrics and health"`
//		Log    program.Log `toml:"log"`
//		NATS   program.Bus `toml:"nats"`
//	}
//
//	func newCommand(environ []string) *cobra.Command {
//		return program.Command(environ, "reprosign-signer", "Decide and sign", defaults(), serve)
//	}
//
//	func serve(ctx context.Context, s settings) error {
//		p, err := program.New(s.Log, s.Listen)
//		…
//		connect := p.Bus(bus.RoleSigner, "beta")
//		return p.Run(ctx, func(ctx context.Context, ready func()) error {
//			conn, err := connect(ctx, s.NATS)
//			…
//			defer conn.Close()
//			ready()
//			return conn.ServeSigner(ctx, service)
//		})
//	}
//
// A program ends when its work returns, and its work when SIGINT or SIGTERM
// ends the context. What the work opened it closes by defer, the last first;
// the health page outlives all of it.
package program
