package nethsmtest

import (
	"mime"
	"net/http"
	"slices"
	"strings"
)

// call is one request on its way through the device.
type call struct {
	*Server
	r         *http.Request
	route     *route
	method    method
	arguments map[string]string
	body      []byte
	tooLarge  bool
	corrupt   bool // fault: spoil the signature

	caller  *user // nil on public methods
	name    string
	changed bool // contents are to be saved
}

// check makes the checks before the handler in the device's order: which of several faults of a request is answered is
// part of the interface. A locked device says so to everybody (412 before 401), and a forbidden request does not tell
// what exists (403 before 404).
func (c *call) check() *reply {
	for _, step := range []func() *reply{
		c.checkState, c.checkMethod, c.authenticate, c.checkRole, c.checkContentType, c.checkLength, c.checkAccept, c.checkExistence,
	} {
		if refusal := step(); refusal != nil {
			return refusal
		}
	}
	return nil
}

func (c *call) checkState() *reply {
	if c.contents.State&c.route.states == 0 {
		return new(message(http.StatusPreconditionFailed, "Service not available"))
	}
	return nil
}

func (c *call) checkMethod() *reply {
	if !knownMethods[c.r.Method] {
		return new(empty(http.StatusNotImplemented))
	}
	if len(c.r.URL.RequestURI()) > maxURIBytes {
		return new(empty(http.StatusRequestURITooLong))
	}
	chosen, ok := c.route.methods[c.r.Method]
	if !ok {
		var allowed []string
		for name := range c.route.methods {
			allowed = append(allowed, name)
		}
		slices.Sort(allowed)
		answer := empty(http.StatusMethodNotAllowed)
		answer.header = map[string]string{"Allow": strings.Join(allowed, ", ")}
		return &answer
	}
	c.method = chosen
	return nil
}

// authenticate evaluates the pause after a failed log-in before the passphrase: during it even the right one is refused.
// A request without credentials is no log-in.
func (c *call) authenticate() *reply {
	if c.method.allow == nil {
		return nil
	}
	unauthorized := empty(http.StatusUnauthorized)
	unauthorized.header = map[string]string{"WWW-Authenticate": "Basic realm"}
	name, passphrase, ok := c.r.BasicAuth()
	if !ok {
		return &unauthorized
	}
	address := clientAddress(c.r)
	if c.attempts.paused(address, name) {
		return new(message(http.StatusTooManyRequests, "Too many requests"))
	}
	u, ok := c.contents.Users[name]
	if !ok || !u.Passphrase.matches(passphrase) {
		c.attempts.fail(address, name)
		return &unauthorized
	}
	c.caller, c.name = u, name
	return nil
}

func (c *call) checkRole() *reply {
	if c.method.allow == nil {
		return nil
	}
	if namespace := c.namespace(); namespace != "" && !c.contents.Namespaces[namespace] {
		return new(empty(http.StatusForbidden)) // its users wait for the namespace to exist
	}
	if !c.method.allow(c) {
		return new(empty(http.StatusForbidden))
	}
	return nil
}

func (c *call) checkContentType() *reply {
	header := c.r.Header.Get("Content-Type")
	media, _, err := mime.ParseMediaType(header)
	ok := true
	switch c.method.body {
	case anyBody:
	case jsonBody:
		ok = strings.EqualFold(header, typeJSON)
	case importBody:
		ok = err == nil // whether it is multipart turns out when it is parsed
	case bytesBody:
		ok = media == typeBytes
	case noBodyOrBytes:
		ok = header == "" || media == typeJSON || media == typeBytes
	}
	if !ok {
		return new(empty(http.StatusUnsupportedMediaType))
	}
	return nil
}

func (c *call) checkLength() *reply {
	if c.tooLarge {
		return new(empty(http.StatusRequestEntityTooLarge))
	}
	return nil
}

func (c *call) checkAccept() *reply {
	accept := c.r.Header.Get("Accept")
	if accept == "" || c.method.produces == "" {
		return nil
	}
	family, _, _ := strings.Cut(c.method.produces, "/")
	for part := range strings.SplitSeq(accept, ",") {
		media, _, err := mime.ParseMediaType(part)
		if err == nil && (media == "*/*" || media == family+"/*" || media == c.method.produces) {
			return nil
		}
	}
	return new(empty(http.StatusNotAcceptable))
}

func (c *call) checkExistence() *reply {
	if c.method.needs != nil && !c.method.needs(c) {
		return new(empty(http.StatusNotFound))
	}
	return nil
}
