package main

import (
	"testing"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/internal/config/configtest"
)

func TestTheAnnotatedExampleHasEverySetting(t *testing.T) {
	configtest.Example(t, "../../deploy/config/cli.toml", defaults())
}

func TestTheAnnotatedWitnessExampleHasEverySetting(t *testing.T) {
	s := configtest.Example(t, "../../deploy/config/witness.toml", witnessDefaults())
	for _, log := range s.Logs {
		if _, err := attest.ParseVerifierKey(log); err != nil {
			t.Error(err)
		}
	}
}

func TestTheAnnotatedMonitorExampleHasEverySetting(t *testing.T) {
	s := configtest.Example(t, "../../deploy/config/monitor.toml", monitorDefaults())
	if s.Patience != monitorDefaults().Patience || s.Every != monitorDefaults().Every {
		t.Errorf("the example says otherwise than the defaults: %+v", s)
	}
}
