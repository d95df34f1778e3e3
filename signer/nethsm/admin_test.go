package nethsm_test

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/reprosign/reprosign/signer/key"
	"github.com/reprosign/reprosign/signer/nethsm"
	"github.com/reprosign/reprosign/signer/nethsm/nethsmtest"
)

// as opens the device's administration as a user.
func as(t *testing.T, c nethsm.Config, user, passphrase string) *nethsm.Admin {
	t.Helper()
	c.User, c.Passphrase = user, func() (string, error) { return passphrase, nil }
	admin, err := nethsm.OpenAdmin(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { admin.Close() })
	return admin
}

func TestADeviceFromTheFactoryIsSetUpForSigning(t *testing.T) {
	const unlock, root, inside = "the unlock passphrase", "the root passphrase", "the inner passphrase"
	url, pin := nethsmtest.Start(t, nethsmtest.New())
	c := config(t, url, "sha256:"+pin)
	ctx := t.Context()
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}

	admin := as(t, c, "admin", root)
	if state, err := admin.State(ctx); err != nil || state != "Unprovisioned" {
		t.Fatalf("state is %q, %v", state, err)
	}
	check(admin.Provision(ctx, unlock, root, time.Now()))
	check(admin.AddUser(ctx, "stable~admin", "administrator of stable", nethsm.Administrator, inside))
	check(admin.AddNamespace(ctx, "stable"))
	check(admin.AddUser(ctx, "meter", "reads counters", nethsm.Metrics, inside))

	inner := as(t, c, "stable~admin", inside)
	check(inner.AddUser(ctx, operatorID, "the signer", nethsm.Operator, operatorPassphrase))
	check(inner.AddUserTag(ctx, operatorID, "artifacts"))
	check(inner.AddUserTag(ctx, operatorID, "artifacts")) // once more is no error
	check(inner.GenerateKey(ctx, nethsm.KeySpec{ID: "artifacts", Type: nethsm.Curve25519, Tags: []string{"artifacts"}}))
	check(inner.GenerateKey(ctx, nethsm.KeySpec{ID: "large", Type: nethsm.RSA, Bits: key.MinRSABits}))
	check(inner.AddKeyTag(ctx, "large", "index"))
	check(inner.PutCertificate(ctx, "artifacts", []byte("certificate")))

	ids, err := inner.ListKeys(ctx)
	check(err)
	slices.Sort(ids)
	if diff := cmp.Diff([]string{"artifacts", "large"}, ids); diff != "" {
		t.Error(diff)
	}
	operator := as(t, c, operatorID, operatorPassphrase)
	if got, err := operator.GetCertificate(ctx, "artifacts"); err != nil || string(got) != "certificate" {
		t.Errorf("certificate is %q, %v", got, err)
	}

	device, err := nethsm.Open(c)
	check(err)
	if _, err := openKey(t, device, "artifacts").Sign(ctx, digest); err != nil {
		t.Errorf("signing: %v", err)
	}
	if _, err := openKey(t, device, "large").Sign(ctx, digest); !errors.Is(err, key.ErrMisconfigured) {
		t.Errorf("signing with a key of another tag: got %v, want ErrMisconfigured", err)
	}
	metrics, err := as(t, c, "meter", inside).Metrics(ctx)
	if err != nil || metrics["sign"] != "1" || metrics["generate"] != "2" {
		t.Errorf("metrics are %v, %v", metrics, err)
	}

	if err := admin.Provision(ctx, unlock, root, time.Now()); !errors.Is(err, key.ErrLocked) { // 412: not in this state
		t.Errorf("second provisioning: got %v, want ErrLocked", err)
	}
	for name, err := range map[string]error{
		"second user":        inner.AddUser(ctx, operatorID, "x", nethsm.Operator, inside),
		"second key":         inner.GenerateKey(ctx, nethsm.KeySpec{ID: "artifacts", Type: nethsm.Curve25519}),
		"second certificate": inner.PutCertificate(ctx, "artifacts", []byte("other")),
		"second namespace":   admin.AddNamespace(ctx, "stable"),
		"no certificate":     second(inner.GetCertificate(ctx, "large")),
		"operator's user":    operator.AddUser(ctx, "stable~x", "x", nethsm.Operator, inside),
		"malformed user":     admin.AddUser(ctx, "a/b", "x", nethsm.Operator, inside),
		"malformed tag":      inner.AddUserTag(ctx, operatorID, "../x"),
		"malformed key tag":  inner.AddKeyTag(ctx, "large", ""),
		"malformed space":    admin.AddNamespace(ctx, "a~b"),
		"short passphrase":   admin.AddUser(ctx, "x", "x", nethsm.Operator, "123456789"),
		"empty certificate":  inner.PutCertificate(ctx, "large", nil),
		"Ed25519 of 256":     inner.GenerateKey(ctx, nethsm.KeySpec{ID: "x", Type: nethsm.Curve25519, Bits: 256}),
		"RSA-1024":           inner.GenerateKey(ctx, nethsm.KeySpec{ID: "x", Type: nethsm.RSA, Bits: 1024}),
		"other type":         inner.GenerateKey(ctx, nethsm.KeySpec{ID: "x", Type: "EC_P256"}),
	} {
		if !errors.Is(err, key.ErrMisconfigured) {
			t.Errorf("%s: got %v, want ErrMisconfigured", name, err)
		}
	}
}

func second(_ []byte, err error) error { return err }

func TestAChangeIsNotRepeated(t *testing.T) {
	s := softHSM(t)
	url, pin := nethsmtest.Start(t, s)
	admin := as(t, config(t, url, "sha256:"+pin), "stable~admin", operatorPassphrase)
	requests, _ := watch(s, func(*http.Request) *nethsmtest.Fault { return &nethsmtest.Fault{DropAnswer: true} })
	err := admin.GenerateKey(t.Context(), nethsm.KeySpec{ID: "new", Type: nethsm.Curve25519})
	if !errors.Is(err, key.ErrUnavailable) || requests() != 1 {
		t.Errorf("got %v after %d requests, want ErrUnavailable after one", err, requests())
	}
}

func TestACancelledChangeEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := softHSM(t)
		s.SetFault(func(*http.Request) *nethsmtest.Fault { return &nethsmtest.Fault{Delay: time.Hour} })
		admin := as(t, config(t, "http://nethsm.invalid", "insecure-plain-http"), "stable~admin", operatorPassphrase)
		admin.SetTransport(&wire{server: s})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		err := admin.AddKeyTag(ctx, "ed", "x")
		if !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, key.ErrUnavailable) {
			t.Errorf("got %v, want context.DeadlineExceeded alone", err)
		}
	})
}

func TestAWrongUnlockPassphraseThrottlesTheRightOne(t *testing.T) {
	s := softHSM(t, frozen())
	url, pin := nethsmtest.Start(t, s)
	admin := as(t, config(t, url, "sha256:"+pin), "admin", nethsmtest.DefaultPassphrase)
	if err := admin.Lock(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := admin.Unlock(t.Context(), "not the passphrase"); !errors.Is(err, key.ErrMisconfigured) {
		t.Errorf("got %v, want ErrMisconfigured", err)
	}
	if err := admin.Unlock(t.Context(), nethsmtest.DefaultPassphrase); !errors.Is(err, key.ErrThrottled) {
		t.Errorf("got %v, want ErrThrottled", err)
	}
}
