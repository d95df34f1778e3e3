package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/reprosign/reprosign/internal/config"
	"github.com/reprosign/reprosign/internal/program"
	"github.com/reprosign/reprosign/monitor"
)

// monitorSettings are the monitor's; deploy/config/monitor.toml explains each.
type monitorSettings struct {
	State   string          `toml:"state" help:"directory with what was seen"`
	Trust   string          `toml:"trust" help:"trust file of the logs that name none"`
	Every   config.Duration `toml:"every" help:"how long to wait between two looks at a log"`
	Webhook string          `toml:"webhook" help:"file with the URL that alarms are posted to"`
	Metrics string          `toml:"metrics" help:"address for metrics and health"`
	// MaxSerial and HSMCount are those of the logs that name none.
	MaxSerial int64  `toml:"max_serial" help:"highest serial that a policy is expected to have; 0 expects any"`
	HSMCount  string `toml:"hsm_count" help:"URL of the signer's metrics listener"`
	Patience  struct {
		Unreachable config.Duration `toml:"unreachable" help:"how long a log may not answer"`
		Evidence    config.Duration `toml:"evidence" help:"how long after a decision evidence may be missing"`
		HSM         config.Duration `toml:"hsm" help:"how long the log may take to explain the device's count"`
		Expiry      config.Duration `toml:"expiry" help:"how long before its end a policy or key is an alarm"`
		Stale       config.Duration `toml:"stale" help:"how old a checkpoint may be; 0s: as the policy says"`
	} `toml:"patience"`
	Logs []watchedLog `toml:"logs"` // in the file alone: a list of tables has no flag
	Log  program.Log  `toml:"log"`
}

// watchedLog is a log to follow.
type watchedLog struct {
	URL       string `toml:"url"`
	Trust     string `toml:"trust"`
	MaxSerial int64  `toml:"max_serial"`
	HSMCount  string `toml:"hsm_count"`
}

func monitorDefaults() monitorSettings {
	s := monitorSettings{Every: config.Duration(monitor.DefaultEvery), Log: program.DefaultLog}
	s.Patience.Unreachable = config.Duration(monitor.DefaultUnreachable)
	s.Patience.Evidence = config.Duration(monitor.DefaultEvidence)
	s.Patience.HSM = config.Duration(monitor.DefaultDevice)
	s.Patience.Expiry = config.Duration(monitor.DefaultExpiry)
	return s
}

type monitorDocument struct {
	Schema   string          `json:"schema"`
	Raised   []monitor.Alarm `json:"raised"`
	Standing []monitor.Alarm `json:"standing"`
}

func (a *app) logMonitorCommand() *cobra.Command {
	var urls []string
	var once bool
	var output string
	cmd := program.Command(environOf(a, monitorDefaults()), "monitor [URL|DIR ...]", "Watch evidence logs and raise alarms", monitorDefaults(),
		func(ctx context.Context, s monitorSettings) error {
			a.begun = true
			if err := oneOf("output", output, "text", "json"); err != nil {
				return err
			}
			for _, url := range urls {
				s.Logs = append(s.Logs, watchedLog{URL: url})
			}
			c, err := s.config()
			if err != nil {
				return err
			}
			if once {
				return a.monitorOnce(ctx, c, s, output)
			}
			return runMonitor(ctx, c, s)
		})
	cmd.Args = cobra.ArbitraryArgs
	cmd.PreRunE = func(_ *cobra.Command, args []string) error {
		urls = args
		return nil
	}
	cmd.Long = `Watch evidence logs from the outside, for years, and raise an alarm at whatever a lawful log never does: a fork,
a shrinking log, a missing body, a signature without a decision, a decision that its votes do not carry, a file name
decided twice, an equivocating key, an unexpected policy, a policy or key that ends soon, a stale checkpoint, and, with
hsm_count, signatures that the device counts and the log does not explain.

It goes on where it was when it stopped: its state directory holds what the entries mean and which alarms were raised.
Each alarm is told once: in the log of this program, in its metrics, and to the webhook. With --once it takes one look
and its exit status says whether a person has to look too (7).`
	cmd.Example = `  reprosign log monitor --config /etc/reprosign/monitor.toml
  reprosign log monitor --once --state ./monitor --trust policy.json https://log.example.org https://mirror.example.net/log`
	cmd.Flags().BoolVar(&once, "once", false, "take one look and end")
	outputFlag(cmd, &output, "text", "json")
	return cmd
}

// config is the monitor that the settings ask for.
func (s monitorSettings) config() (monitor.Config, error) {
	c := monitor.Config{
		Dir: s.State, Every: time.Duration(s.Every),
		Patience: monitor.Patience{
			Unreachable: time.Duration(s.Patience.Unreachable), Evidence: time.Duration(s.Patience.Evidence),
			Device: time.Duration(s.Patience.HSM), Expiry: time.Duration(s.Patience.Expiry), Stale: time.Duration(s.Patience.Stale),
		},
	}
	if s.State == "" {
		return c, usagef("no setting state; give --state DIR, where the monitor keeps what it has seen")
	}
	if len(s.Logs) == 0 {
		return c, usagef("no log; name one, or put [[logs]] into the configuration file")
	}
	if s.Every <= 0 {
		return c, usagef("setting every is %v, must be more than nothing", time.Duration(s.Every))
	}
	if s.Webhook != "" {
		url, err := config.ReadSecretFile(s.Webhook)
		if err != nil {
			return c, fmt.Errorf("setting webhook: %w", err)
		}
		c.Webhook = strings.TrimSpace(string(url))
	}
	for _, l := range s.Logs {
		w, err := s.watched(l)
		if err != nil {
			return c, err
		}
		c.Logs = append(c.Logs, w)
	}
	return c, nil
}

func (s monitorSettings) watched(l watchedLog) (monitor.Watched, error) {
	var w monitor.Watched
	serial, trust, count := l.MaxSerial, l.Trust, l.HSMCount
	if serial == 0 {
		serial = s.MaxSerial
	}
	if serial < 0 {
		return w, usagef("setting max_serial is %d, must be 0 or a serial", serial)
	}
	w.MaxSerial = uint64(serial)
	if trust == "" {
		trust = s.Trust
	}
	if count == "" {
		count = s.HSMCount
	}
	if trust == "" {
		return w, hinted(usagef("no trust file for %s", l.URL), "give --trust FILE: the signed policy that you were handed by the admins")
	}
	var err error
	if w.Trust, err = readTrust(trust); err != nil {
		return w, err
	}
	if w.Source, err = monitor.Open(l.URL); err != nil {
		return w, usage(err)
	}
	if count != "" {
		if w.Device, err = monitor.Open(strings.TrimSuffix(count, "/metrics")); err != nil {
			return w, usagef("setting hsm_count: %w", err)
		}
	}
	return w, nil
}

// errAlarm says that a person has to look.
var errAlarm = errors.New("alarms were raised or stand")

func (a *app) monitorOnce(ctx context.Context, c monitor.Config, s monitorSettings, output string) (err error) {
	p, err := program.New(s.Log, "")
	if err != nil {
		return err
	}
	c.Logger = p.Log
	m, err := monitor.New(c)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, m.Close()) }()
	pass, err := m.Once(ctx)
	if err != nil {
		return err
	}
	if output == "json" {
		if err := a.printJSON(monitorDocument{"reprosign/log-monitor/v1", append([]monitor.Alarm{}, pass.Raised...), append([]monitor.Alarm{}, pass.Standing...)}); err != nil {
			return err
		}
	} else {
		for _, r := range pass.Raised {
			word := "alarm"
			if r.Kind.Announces() {
				word = "note"
			}
			a.printStep(word, r.Log+": "+r.String())
		}
		for _, r := range pass.Standing {
			a.printStep("alarm", fmt.Sprintf("%s: %s (since %v)", r.Log, r, r.At))
		}
	}
	if pass.Alarming() {
		return &failure{code: exitAlarm, cause: errAlarm}
	}
	return nil
}

func runMonitor(ctx context.Context, c monitor.Config, s monitorSettings) error {
	p, err := program.New(s.Log, s.Metrics)
	if err != nil {
		return err
	}
	return p.Run(ctx, func(ctx context.Context, ready func()) (err error) {
		c.Logger = p.Log
		m, err := monitor.New(c)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, m.Close()) }()
		p.Measure(m)
		ready()
		return m.Run(ctx)
	})
}
