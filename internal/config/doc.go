// Package config reads what operators write: settings, private keys and other
// secrets.
//
// Settings of a program are one struct. Its TOML file comes first, then the
// environment, then flags; what comes later wins. The setting [nats] url is the
// variable REPROSIGN_NATS_URL and the flag --nats-url. Whatever names no setting
// is an error, in a file with its line: a misspelt limit must not become no limit.
//
//	type Config struct {
//		Listen string `toml:"listen" help:"address for metrics and health"`
//		NATS   struct {
//			URL  string `toml:"url" help:"address of the bus"`
//			Seed string `toml:"seed" help:"file with the nkey seed"`
//		} `toml:"nats"`
//	}
//
//	flags := pflag.NewFlagSet("reprosign-rebuilder", pflag.ContinueOnError)
//	config.Flags(flags, Config{Listen: "127.0.0.1:9464"})
//	…
//	cfg, err := config.Load(config.Source{File: file, Environ: os.Environ(), Flags: flags}, Config{Listen: "127.0.0.1:9464"})
//
// Secrets are in files that only their owner can read, or in systemd
// credentials; settings hold the paths. A setting that may contain a secret all
// the same, such as a connection string, is tagged secret:"true": it is taken
// from the file alone, since everybody can read a process's flags and its
// children its environment, and [Effective] masks it.
package config
