package nethsmtest_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/reprosign/reprosign/signer/nethsm/nethsmtest"
)

// Each row has all the faults of the rows below it, and the check that comes first answers.
func TestChecksComeInTheDevicesOrder(t *testing.T) {
	none := map[string]string{"Content-Type": "", "Accept": "text/html"}
	long := "keys/nobody/cert?" + strings.Repeat("x", 2000)
	const tooMuch = 1<<20 + 1

	wrong := ask{method: "PATCH", path: long, user: "operator", passphrase: "a wrong passphrase", header: none, length: tooMuch}
	lockedDevice := device(t)
	ask{method: "POST", path: "lock", user: "admin"}.want(t, lockedDevice, 204, "-")
	wrong.want(t, lockedDevice, 412, "Service not available")

	s := device(t)
	wrong.want(t, s, 501, "-")
	wrong.method = "POST"
	wrong.want(t, s, 414, "-")
	wrong.path = "keys/nobody/cert"
	if response := wrong.want(t, s, 405, "-"); response.Header.Get("Allow") != "DELETE, GET, PUT" {
		t.Errorf("Allow is %q", response.Header.Get("Allow"))
	}
	wrong.method = "PUT"
	if response := wrong.want(t, s, 401, "-"); response.Header.Get("WWW-Authenticate") == "" {
		t.Error("401 without WWW-Authenticate")
	}
	wrong.address, wrong.passphrase = "192.0.2.2", ""
	wrong.want(t, s, 403, "-")
	wrong.user = "admin"
	wrong.want(t, s, 415, "-")
	wrong.header = map[string]string{"Content-Type": "application/octet-stream", "Accept": "text/html"}
	wrong.want(t, s, 413, "-")
	wrong.length = 0
	wrong.want(t, s, 404, "-") // PUT answers nothing that Accept could refuse
	wrong.method = "GET"
	wrong.want(t, s, 406, "-")
	wrong.header = nil
	wrong.want(t, s, 404, "-")
	wrong.path = "keys/ed/cert"
	wrong.want(t, s, 404, "-") // no certificate yet: the handler's word

	response := ask{method: "GET", path: "/elsewhere"}.want(t, s, 404, "")
	body := make([]byte, 100)
	if n, _ := response.Body.Read(body); string(body[:n]) != "Not found" {
		t.Errorf("unrouted path: got %q, want the text Not found", body[:n])
	}
}

func TestEachStateServesItsPaths(t *testing.T) {
	s := nethsmtest.New()
	provision := ask{method: "POST", path: "provision", body: `{"unlockPassphrase":"unlock passphrase","adminPassphrase":"soft hsm passphrase","systemTime":"2026-01-02T03:04:05Z"}`}
	unlock := ask{method: "POST", path: "unlock", body: `{"passphrase":"unlock passphrase"}`}
	lock := ask{method: "POST", path: "lock", user: "admin"}
	states := func(state string, alive, ready, provisioning, unlocking, users int) {
		t.Helper()
		got := decode[struct {
			State string `json:"state"`
		}](t, s, ask{method: "GET", path: "health/state"})
		if got.State != state {
			t.Fatalf("state is %q, want %q", got.State, state)
		}
		ask{method: "GET", path: "health/alive"}.want(t, s, alive, "-")
		ask{method: "GET", path: "health/ready"}.want(t, s, ready, "-")
		ask{method: "GET", path: "info"}.want(t, s, 200, "")
		ask{method: "POST", path: "provision", body: "{}"}.want(t, s, provisioning, "")
		ask{method: "POST", path: "unlock", body: "{}"}.want(t, s, unlocking, "")
		ask{method: "GET", path: "users", user: "admin"}.want(t, s, users, "")
	}
	states("Unprovisioned", 200, 412, 400, 412, 412)
	provision.want(t, s, 204, "-")
	states("Operational", 412, 200, 412, 412, 200)
	lock.want(t, s, 204, "-")
	states("Locked", 200, 412, 412, 400, 412)
	unlock.want(t, s, 204, "-")
	states("Operational", 412, 200, 412, 412, 200)
}

func TestProvisioningIsStrict(t *testing.T) {
	const good = `{"unlockPassphrase":"unlock passphrase","adminPassphrase":"admin passphrase","systemTime":"2026-01-02T03:04:05Z"}`
	for name, c := range map[string]struct{ old, new, says string }{
		"short unlock passphrase": {"unlock passphrase", "123456789", "passphrase unlock is not >= 10 and <= 200 characters"},
		"long admin passphrase":   {"admin passphrase", strings.Repeat("ä", 101), "passphrase admin is not >= 10 and <= 200 characters"},
		"time with an offset":     {"05Z", "05+01:00", "Invalid system time: RFC 3339 with offset 0 expected"},
		"no time":                 {"2026-01-02T03:04:05Z", "", "Invalid system time: RFC 3339 with offset 0 expected"},
		"unknown field":           {`"systemTime"`, `"x":1,"systemTime"`, ""},
		"field in wrong case":     {`"systemTime"`, `"SystemTime"`, ""},
		"no JSON":                 {"{", "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			s := nethsmtest.New()
			ask{method: "POST", path: "provision", body: strings.Replace(good, c.old, c.new, 1)}.want(t, s, 400, c.says)
			ask{method: "POST", path: "provision", body: good}.want(t, s, 204, "-")
		})
	}
}

func TestAFailedLogInKeepsTheSameUserAtTheSameAddressOutForASecond(t *testing.T) {
	clock := newClock()
	s := device(t, nethsmtest.WithClock(clock.now))
	right := ask{method: "GET", path: "keys", user: "operator"}
	wrong := ask{method: "GET", path: "keys", user: "operator", passphrase: "a wrong passphrase"}
	wrong.want(t, s, 401, "-")
	right.want(t, s, 429, "Too many requests")
	wrong.want(t, s, 429, "Too many requests")

	elsewhere := right
	elsewhere.address = "198.51.100.1"
	elsewhere.want(t, s, 200, "")
	ask{method: "GET", path: "keys", user: "admin"}.want(t, s, 200, "")
	ask{method: "GET", path: "keys"}.want(t, s, 401, "-")

	clock.at = clock.at.Add(time.Second - 1)
	right.want(t, s, 429, "")
	clock.at = clock.at.Add(1)
	right.want(t, s, 200, "") // refusals by the pause did not prolong it
	ask{method: "GET", path: "keys", user: "nobody"}.want(t, s, 401, "-")
	ask{method: "GET", path: "keys", user: "nobody"}.want(t, s, 429, "Too many requests")
}

func TestAFailedUnlockKeepsTheAddressOutForASecond(t *testing.T) {
	clock := newClock()
	s := device(t, nethsmtest.WithClock(clock.now))
	ask{method: "POST", path: "lock", user: "admin"}.want(t, s, 204, "-")
	right := ask{method: "POST", path: "unlock", body: `{"passphrase":"soft hsm passphrase"}`}
	ask{method: "POST", path: "unlock", body: `{"passphrase":"a wrong passphrase"}`}.want(t, s, 403, "unlock passphrase is incorrect.")
	right.want(t, s, 429, "Service unavailable: too many requests")
	elsewhere := right
	elsewhere.address = "198.51.100.1"
	elsewhere.want(t, s, 204, "-")
}

func TestRolesReachTheirPathsOnly(t *testing.T) {
	s := device(t)
	sign := `{"mode":"EdDSA","message":"eA=="}`
	for _, c := range []struct {
		a       ask
		allowed []string
	}{
		{ask{method: "GET", path: "users"}, []string{"admin", "ns~admin"}},
		{ask{method: "GET", path: "users/operator"}, []string{"admin", "operator"}},
		{ask{method: "GET", path: "users/ns~operator"}, []string{"admin", "ns~admin", "ns~operator"}},
		{ask{method: "GET", path: "users/ns~operator/tags"}, []string{"admin", "ns~admin", "ns~operator"}},
		{ask{method: "GET", path: "namespaces"}, []string{"admin"}},
		{ask{method: "GET", path: "keys"}, []string{"admin", "ns~admin", "operator", "ns~operator"}},
		{ask{method: "GET", path: "keys/ed"}, []string{"admin", "ns~admin", "operator", "ns~operator"}},
		{ask{method: "GET", path: "keys/ed/public.pem"}, []string{"admin", "ns~admin", "operator", "ns~operator"}},
		{ask{method: "POST", path: "keys/ed/sign", body: sign}, []string{"operator", "ns~operator"}},
		{ask{method: "POST", path: "random", body: `{"length":8}`}, []string{"operator", "ns~operator"}},
		{ask{method: "GET", path: "metrics"}, []string{"metrics"}},
	} {
		for _, user := range []string{"admin", "operator", "metrics", "backup", "ns~admin", "ns~operator"} {
			c.a.user = user
			status := http.StatusForbidden
			for _, allowed := range c.allowed {
				if user == allowed {
					status = http.StatusOK
				}
			}
			says := ""
			if status == http.StatusForbidden {
				says = "-"
			}
			c.a.want(t, s, status, says)
		}
	}
}
