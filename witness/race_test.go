package witness_test

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/attest/translog"
	"github.com/reprosign/reprosign/witness"
)

// Of two histories that ask at the same time, in any order, one is cosigned and
// never the other, and no size after a larger one.
func TestOfTwoHistoriesOnlyOneIsEverCosigned(t *testing.T) {
	const most = 40
	key := logKey(t, origin, 1)
	h := newHouse(t, key)
	histories := []*history{newHistory(t, key, "one", most), newHistory(t, key, "two", most)}
	var mu sync.Mutex
	var order []int64
	cosigned := map[int]bool{}
	var all sync.WaitGroup
	for i, log := range histories {
		for range 4 {
			all.Go(func() {
				for old, size := int64(0), int64(1); size <= most; {
					mu.Lock() // the order of answers is seen only when they are alone
					alone := rand.IntN(2) == 0
					if !alone {
						mu.Unlock()
					}
					_, err := h.AddCheckpoint(log.request(t, old, size))
					if alone {
						if err == nil {
							order = append(order, size)
						}
						mu.Unlock()
					}
					var conflict witness.Conflict
					switch {
					case err == nil:
						mu.Lock()
						cosigned[i] = true
						mu.Unlock()
						old, size = size, size+1
					case errors.As(err, &conflict):
						old, size = conflict.Size, max(size, conflict.Size)
					case errors.Is(err, witness.ErrInconsistent):
						return // the other history was first
					default:
						t.Errorf("history %d, size %d: %v", i, size, err)
						return
					}
				}
			})
		}
	}
	all.Wait()
	if len(cosigned) != 1 {
		t.Errorf("histories cosigned: %v", cosigned)
	}
	for i := 1; i < len(order); i++ {
		if order[i] < order[i-1] {
			t.Errorf("size %d was cosigned after %d", order[i], order[i-1])
		}
	}
}

// childVariable holds what a child of the test is to do: serve the memory in a
// directory, and perhaps kill itself instead of the n-th answer.
const childVariable = "WITNESS_TEST_CHILD"

func TestMain(m *testing.M) {
	if task := os.Getenv(childVariable); task != "" {
		if err := child(task); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

func child(task string) error {
	count, dir, _ := strings.Cut(task, " ")
	left, err := strconv.Atoi(count)
	if err != nil {
		return err
	}
	key, err := attest.NewCosigningKey("witness.example.net", private(99))
	if err != nil {
		return err
	}
	log, err := attest.NewSigningKey(origin, private(1))
	if err != nil {
		return err
	}
	w, err := witness.Open(witness.Config{Key: key, Logs: []attest.VerifierKey{log.VerifierKey}, Dir: dir})
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println(listener.Addr())
	handler := w.Handler()
	return http.Serve(listener, http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		left--
		if left == 0 {
			rw = deadly{rw}
		}
		handler.ServeHTTP(rw, r)
	}))
}

// deadly kills the process instead of answering, as kill -9 would.
type deadly struct{ http.ResponseWriter }

func (deadly) Write([]byte) (int, error) {
	return 0, syscall.Kill(os.Getpid(), syscall.SIGKILL)
}

// spawn starts a witness as a process and returns its URL and what ends it.
func spawn(t *testing.T, dir string, last int) (url string, end func()) {
	t.Helper()
	self, err := os.Executable()
	must(t, err)
	cmd := exec.CommandContext(t.Context(), self)
	cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%d %s", childVariable, last, dir))
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	line, err := bufio.NewReader(out).ReadString('\n')
	must(t, err)
	return "http://" + strings.TrimSpace(line), func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}
}

func TestKilledBetweenRememberingAndAnsweringItRemembers(t *testing.T) {
	key := logKey(t, origin, 1)
	log, other := newHistory(t, key, "writer", 20), newHistory(t, key, "another", 20)
	dir := filepath.Join(t.TempDir(), "memory")
	must(t, witness.Create(dir, witnessKey(t).VerifierKey))
	url, end := spawn(t, dir, 2)
	if status, _, text := post(t, url, log.request(t, 0, 10)); status != http.StatusOK {
		t.Fatalf("first: %d %s", status, text)
	}
	resp, err := client.Post(url+"/add-checkpoint", "", bytes.NewReader(log.request(t, 10, 12)))
	if err == nil {
		resp.Body.Close()
		t.Fatalf("the witness answered %d instead of dying", resp.StatusCode)
	}
	end()
	url, end = spawn(t, dir, 0)
	defer end()
	// The log never heard the answer, and asks again from where it was.
	status, _, text := post(t, url, log.request(t, 10, 12))
	if status != http.StatusConflict || text != "12\n" {
		t.Fatalf("after the crash: %d %q, want the size that was remembered", status, text)
	}
	if status, _, text := post(t, url, other.request(t, 12, 12)); status != http.StatusUnprocessableEntity {
		t.Errorf("another history after the crash: %d %s", status, text)
	}
	status, _, text = post(t, url, log.request(t, 12, 12))
	if status != http.StatusOK {
		t.Fatalf("the same checkpoint again: %d %s", status, text)
	}
	known := translog.Witnesses{Keys: []attest.VerifierKey{witnessKey(t).VerifierKey}, Quorum: 1}
	if _, _, err := known.Time(append(log.checkpoint(t, 12), text...)); err != nil {
		t.Error(err)
	}
}

// Killed at any moment, a witness never remembers less than it answered.
func TestKilledAtAnyMomentItRemembersWhatItAnswered(t *testing.T) {
	key := logKey(t, origin, 1)
	log := newHistory(t, key, "writer", 400)
	dir := filepath.Join(t.TempDir(), "memory")
	must(t, witness.Create(dir, witnessKey(t).VerifierKey))
	answered, old := int64(0), int64(0)
	for round := range 8 {
		url, end := spawn(t, dir, 0)
		status, _, text := post(t, url, log.request(t, 0, answered))
		if status == http.StatusConflict {
			size, err := strconv.ParseInt(strings.TrimSpace(text), 10, 64)
			must(t, err)
			old = size
		}
		if old < answered {
			t.Fatalf("round %d: size %d was answered, %d is remembered", round, answered, old)
		}
		killed := make(chan struct{})
		after := old + rand.Int64N(12)
		for size := old + 1; ; size++ {
			if size == after+1 {
				go func() { // while a request is under way
					end()
					close(killed)
				}()
			}
			resp, err := client.Post(url+"/add-checkpoint", "", bytes.NewReader(log.request(t, old, size)))
			if err != nil {
				break
			}
			resp.Body.Close()
			if resp.StatusCode != http.StatusOK {
				t.Fatalf("size %d: status %d", size, resp.StatusCode)
			}
			answered, old = size, size
		}
		<-killed
	}
}
