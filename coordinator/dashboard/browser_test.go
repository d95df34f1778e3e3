//go:build long

package dashboard_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/coordinator/dashboard"
)

// browser is a headless Chromium that is spoken to over its debugging pipe.
type browser struct {
	t        testing.TB
	to       *os.File
	from     *bufio.Reader
	session  string
	id       int
	loaded   bool
	problems []string // what its console said
}

// message is one of the DevTools protocol.
type message struct {
	ID      int            `json:"id,omitzero"`
	Method  string         `json:"method,omitzero"`
	Session string         `json:"sessionId,omitzero"`
	Params  jsontext.Value `json:"params,omitzero"`
	Result  jsontext.Value `json:"result,omitzero"`
	Error   jsontext.Value `json:"error,omitzero"`
}

func startBrowser(t testing.TB) *browser {
	t.Helper()
	program, err := exec.LookPath("chromium")
	if err != nil {
		t.Fatal("Chromium is missing; Debian and Ubuntu have it in the package chromium, and fonts in fonts-dejavu-core")
	}
	theirs, ours, err := os.Pipe()
	must(t, err)
	back, theirBack, err := os.Pipe()
	must(t, err)
	profile := t.TempDir()
	// The test's own context ends before the browser can be asked to close.
	ctx, kill := context.WithCancel(context.WithoutCancel(t.Context()))
	cmd := exec.CommandContext(ctx, program, "--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
		"--disable-background-networking", "--remote-debugging-pipe", "--user-data-dir="+profile, "about:blank")
	cmd.ExtraFiles = []*os.File{theirs, theirBack} // 3 and 4, as the option wants them
	must(t, cmd.Start())
	must(t, theirs.Close())
	must(t, theirBack.Close())
	b := &browser{t: t, to: ours, from: bufio.NewReader(back)}
	t.Cleanup(func() {
		// It answers by closing the pipe.
		defer time.AfterFunc(10*time.Second, kill).Stop()
		_, _ = ours.WriteString(`{"id":0,"method":"Browser.close"}` + "\x00")
		_, _ = io.Copy(io.Discard, back)
		_ = cmd.Wait()
		_, _ = ours.Close(), back.Close()
		kill()
		// Its helpers may outlive it for a moment, and write to the profile while the
		// test's directories are removed, which comes after this.
		for range 500 {
			if os.RemoveAll(profile) == nil {
				return
			}
			<-time.After(10 * time.Millisecond)
		}
		t.Errorf("profile %s of the browser cannot be removed", profile)
	})
	var target struct {
		ID string `json:"targetId"`
	}
	must(t, json.Unmarshal(b.call("Target.createTarget", map[string]any{"url": "about:blank"}), &target))
	var attached struct {
		Session string `json:"sessionId"`
	}
	must(t, json.Unmarshal(b.call("Target.attachToTarget", map[string]any{"targetId": target.ID, "flatten": true}), &attached))
	b.session = attached.Session
	for _, domain := range []string{"Page", "Log", "Runtime", "Network", "Accessibility"} {
		b.call(domain+".enable", nil)
	}
	return b
}

// call calls a method and returns its result; events on the way are noted.
func (b *browser) call(method string, params any) jsontext.Value {
	b.t.Helper()
	b.id++
	request := map[string]any{"id": b.id, "method": method, "params": map[string]any{}}
	if params != nil {
		request["params"] = params
	}
	if b.session != "" {
		request["sessionId"] = b.session
	}
	data, err := json.Marshal(request)
	must(b.t, err)
	_, err = b.to.Write(append(data, 0))
	must(b.t, err)
	for {
		m := b.next()
		if m.ID == b.id {
			if m.Error != nil {
				b.t.Fatalf("%s: %s", method, m.Error)
			}
			return m.Result
		}
	}
}

func (b *browser) next() message {
	b.t.Helper()
	data, err := b.from.ReadBytes(0)
	must(b.t, err)
	var m message
	must(b.t, json.Unmarshal(bytes.TrimSuffix(data, []byte{0}), &m))
	switch m.Method {
	case "Log.entryAdded", "Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Network.loadingFailed":
		b.problems = append(b.problems, string(m.Params))
	case "Page.loadEventFired":
		b.loaded = true
	}
	return m
}

// open loads a page in a window of a size and a colour scheme.
func (b *browser) open(url string, width, height int, scheme string) {
	b.t.Helper()
	b.call("Emulation.setDeviceMetricsOverride", map[string]any{"width": width, "height": height, "deviceScaleFactor": 1, "mobile": false})
	b.call("Emulation.setEmulatedMedia", map[string]any{"features": []map[string]any{{"name": "prefers-color-scheme", "value": scheme}}})
	b.loaded, b.problems = false, nil
	b.call("Page.navigate", map[string]any{"url": url})
	for !b.loaded {
		b.next()
	}
}

// eval runs an expression beside the page, whose own policy permits none.
func (b *browser) eval(expression string) string {
	b.t.Helper()
	var got struct {
		Result struct {
			Value string `json:"value"`
		} `json:"result"`
	}
	must(b.t, json.Unmarshal(b.call("Runtime.evaluate", map[string]any{"expression": "String(" + expression + ")", "returnByValue": true}), &got))
	return got.Result.Value
}

// screenshot keeps what the page looks like, for people, where the variable
// SCREENSHOTS names a directory.
func (b *browser) screenshot(name string) {
	b.t.Helper()
	dir := os.Getenv("SCREENSHOTS")
	if dir == "" {
		return
	}
	var shot struct {
		Data string `json:"data"`
	}
	must(b.t, json.Unmarshal(b.call("Page.captureScreenshot", map[string]any{"captureBeyondViewport": true}), &shot))
	data, err := base64.StdEncoding.DecodeString(shot.Data)
	must(b.t, err)
	must(b.t, os.WriteFile(filepath.Join(dir, name+".png"), data, 0o600))
}

// outline returns role and name of what a screen reader finds.
func (b *browser) outline() string {
	b.t.Helper()
	type text struct {
		Value jsontext.Value `json:"value"`
	}
	var tree struct {
		Nodes []struct {
			Ignored bool `json:"ignored"`
			Role    text `json:"role"`
			Name    text `json:"name"`
		} `json:"nodes"`
	}
	must(b.t, json.Unmarshal(b.call("Accessibility.getFullAXTree", nil), &tree))
	var out strings.Builder
	for _, n := range tree.Nodes {
		if !n.Ignored {
			fmt.Fprintf(&out, "%s %s\n", strings.Trim(string(n.Role.Value), `"`), n.Name.Value)
		}
	}
	return out.String()
}

// contrast is the lowest ratio of a text's colour to the colour behind it.
const contrast = `(() => {
  const rgb = c => { const x = document.createElement('canvas').getContext('2d'); x.fillStyle = c; x.fillRect(0, 0, 1, 1); return x.getImageData(0, 0, 1, 1).data; };
  const light = c => { const [r, g, b] = [...rgb(c)].slice(0, 3).map(v => { v /= 255; return v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4; }); return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
  let low = [21, ''];
  for (const e of document.querySelectorAll('body *')) {
    if (![...e.childNodes].some(n => n.nodeType === 3 && n.data.trim()) || !e.getClientRects().length) continue;
    let at = e;
    while (at.parentElement && rgb(getComputedStyle(at).backgroundColor)[3] === 0) at = at.parentElement;
    const [a, b] = [light(getComputedStyle(e).color), light(getComputedStyle(at).backgroundColor)];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (ratio < low[0]) low = [ratio, e.tagName + '.' + e.className + ' ' + e.textContent.trim().slice(0, 40)];
  }
  return low[0] >= 4.5 ? 'enough' : low[0].toFixed(2) + ' at ' + low[1];
})()`

func TestLongPagesAreReadableInABrowser(t *testing.T) {
	h := newHouse(t)
	b := build(t, "content", "hello_1.0_amd64.deb", "libhello-dev_1.0_amd64.deb", "hello-doc_1.0_all.deb")
	signed := h.signed("1.0", b, func(id attest.Digest) {
		h.vote(id, 3, build(t, "else", "hello_1.0_amd64.deb", "hello-doc_1.0_all.deb"))
	})
	h.complain(signed.ID, 3, decode[dashboard.Release](h, "/api/v1/releases/"+signed.ID.String()).Decision.Digest, b)
	waiting := h.open("age", "1.2.1")
	h.vote(waiting.ID, 0, b)
	h.report(waiting.ID, 1, attest.BuildFailed)
	h.report(waiting.ID, 2, attest.InfraError)
	split := h.open("a-source-with-quite-a-long-name-to-break-lines", "1:20261122.0+really20250101~rc1-1")
	for i := range rebuilders {
		h.vote(split.ID, i, build(t, fmt.Sprint(i%2), "split_1.0_amd64.deb"))
	}
	h.evaluate()
	h.publish()
	w := startBrowser(t)
	for name, path := range map[string]string{
		"list": "/", "none": "/?state=held", "signed": "/releases/" + signed.ID.String(), "waiting": "/releases/" + waiting.ID.String(),
		"conflict": "/releases/" + split.ID.String(), "log": "/log", "entry": "/log/1",
	} {
		for _, width := range []int{360, 1280} {
			for _, scheme := range []string{"light", "dark"} {
				where := fmt.Sprintf("%s-%d-%s", name, width, scheme)
				w.open(h.server.URL+path, width, 800, scheme)
				for _, p := range w.problems {
					t.Errorf("%s: the console says %s", where, p)
				}
				if got := w.eval("document.documentElement.scrollWidth"); got != fmt.Sprint(width) {
					t.Errorf("%s: the page is %s pixels wide", where, got)
				}
				if got := w.eval(contrast); got != "enough" {
					t.Errorf("%s: contrast %s", where, got)
				}
				dark := w.eval("getComputedStyle(document.body).backgroundColor") == "rgb(20, 24, 23)"
				if dark != (scheme == "dark") {
					t.Errorf("%s: dark is %v", where, dark)
				}
				w.screenshot(where)
			}
		}
	}
	w.open(h.server.URL+"/releases/"+signed.ID.String(), 1280, 800, "light")
	outline := w.outline()
	for _, want := range []string{
		`heading "hello 1.0"`, `table "`, `columnheader "Rebuilder"`, `rowheader "rebuilder-4"`, `link ".asc"`, `main`, `navigation "Pages"`,
	} {
		if !strings.Contains(outline, want) {
			t.Errorf("a screen reader finds no %s in\n%s", want, outline)
		}
	}
	// The first key press reaches the link that skips the header, and it shows.
	w.call("Input.dispatchKeyEvent", map[string]any{"type": "keyDown", "key": "Tab", "windowsVirtualKeyCode": 9})
	if got := w.eval("document.activeElement.textContent + ' ' + (document.activeElement.getBoundingClientRect().left >= 0)"); got != "Skip to the content true" {
		t.Errorf("first focus: %q", got)
	}
}
