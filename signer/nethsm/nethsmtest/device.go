package nethsmtest

import (
	"crypto/rand"
	"net/http"
	"strconv"
	"time"
)

const maxRandomBytes = 1024

func getInfo(*call) reply {
	return encoded(http.StatusOK, map[string]string{"vendor": "Nitrokey GmbH", "product": "NetHSM"})
}

func getAlive(c *call) reply { return healthIf(c.contents.State != operational) }
func getReady(c *call) reply { return healthIf(c.contents.State == operational) }

func healthIf(ok bool) reply {
	if ok {
		return empty(http.StatusOK)
	}
	return empty(http.StatusPreconditionFailed)
}

func getState(c *call) reply {
	answer := encoded(http.StatusOK, map[string]string{"state": c.contents.State.String()})
	answer.header = map[string]string{"Cache-Control": "no-cache"}
	return answer
}

// provision takes the system time only to check it: the soft HSM stays with its own clock.
func provision(c *call) reply {
	var request struct {
		UnlockPassphrase string `json:"unlockPassphrase"`
		AdminPassphrase  string `json:"adminPassphrase"`
		SystemTime       string `json:"systemTime"`
	}
	if refusal := c.decode(&request); refusal != nil {
		return *refusal
	}
	at, err := time.Parse(time.RFC3339, request.SystemTime)
	if _, offset := at.Zone(); err != nil || offset != 0 {
		return message(http.StatusBadRequest, "Invalid system time: RFC 3339 with offset 0 expected")
	}
	for name, text := range map[string]string{"unlock": request.UnlockPassphrase, "admin": request.AdminPassphrase} {
		if refusal := checkPassphrase(name, text); refusal != nil {
			return *refusal
		}
	}
	c.contents.Unlock = newPassphrase(request.UnlockPassphrase)
	c.contents.Users["admin"] = &user{RealName: "admin", Role: roleAdministrator, Passphrase: newPassphrase(request.AdminPassphrase)}
	c.contents.Keys[""] = make(map[string]*key)
	c.contents.State = operational
	c.changed = true
	return empty(http.StatusNoContent)
}

func unlock(c *call) reply {
	address := clientAddress(c.r)
	if c.attempts.paused(address, "") {
		return message(http.StatusTooManyRequests, "Service unavailable: too many requests")
	}
	var request struct {
		Passphrase string `json:"passphrase"`
	}
	if refusal := c.decode(&request); refusal != nil {
		return *refusal
	}
	if refusal := checkPassphrase("unlock", request.Passphrase); refusal != nil {
		return *refusal
	}
	if !c.contents.Unlock.matches(request.Passphrase) {
		c.attempts.fail(address, "")
		return message(http.StatusForbidden, "unlock passphrase is incorrect.")
	}
	c.contents.State = operational
	c.changed = true
	return empty(http.StatusNoContent)
}

func lock(c *call) reply {
	c.contents.State = locked
	c.changed = true
	return empty(http.StatusNoContent)
}

func random(c *call) reply {
	var request struct {
		Length int `json:"length"`
	}
	if refusal := c.decode(&request); refusal != nil {
		return *refusal
	}
	if request.Length < 1 || request.Length > maxRandomBytes {
		return message(http.StatusBadRequest, "length must be between 1 and %d", maxRandomBytes)
	}
	data := make([]byte, request.Length)
	_, _ = rand.Read(data) // documented never to fail
	return encoded(http.StatusOK, map[string]string{"random": encodeBase64(data)})
}

// getMetrics answers numbers as strings, as the device does.
func getMetrics(c *call) reply {
	var signatures uint64
	for _, keys := range c.contents.Keys {
		for _, k := range keys {
			signatures += k.Operations
		}
	}
	total := 0
	metrics := map[string]string{
		"uptime":   strconv.Itoa(int(c.now().Sub(c.started) / time.Second)),
		"generate": strconv.Itoa(c.generated),
		"sign":     strconv.FormatUint(signatures, 10),
		"decrypt":  "0",
		"encrypt":  "0",
	}
	for status, n := range c.responses {
		metrics["http response "+strconv.Itoa(status)] = strconv.Itoa(n)
		total += n
	}
	metrics["http response total"] = strconv.Itoa(total)
	return encoded(http.StatusOK, metrics)
}
