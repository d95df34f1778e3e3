package main

import (
	"testing"

	"github.com/reprosign/reprosign/internal/config/configtest"
)

func TestTheAnnotatedExampleHasEverySetting(t *testing.T) {
	configtest.Example(t, "../../deploy/config/coordinator.toml", defaults())
}
