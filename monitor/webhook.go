package monitor

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/go-json-experiment/json"
)

// Bounds of the webhook.
const (
	webhookTime     = 10 * time.Second
	webhookAttempts = 3
)

// webhookSchema names the form of what is posted.
const webhookSchema = "reprosign/alarm/v1"

// webhook posts alarms as JSON, one at a time.
type webhook struct {
	url    string
	client *http.Client
	pause  time.Duration // before the second attempt
}

// post hands over an alarm. Any status of the 200s says that it was taken. What
// goes wrong is said without the URL, which may hold a secret.
func (w *webhook) post(ctx context.Context, a Alarm) error {
	body, err := json.Marshal(struct {
		Schema string `json:"schema"`
		Alarm
	}{webhookSchema, a}, json.Deterministic(true))
	if err != nil {
		return fmt.Errorf("posting an alarm: %w", err)
	}
	for attempt, pause := 1, w.pause; ; attempt, pause = attempt+1, 2*pause {
		err := w.try(ctx, body)
		if err == nil || attempt == webhookAttempts || ctx.Err() != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(pause):
		}
	}
}

func (w *webhook) try(ctx context.Context, body []byte) error {
	ctx, cancel := context.WithTimeout(ctx, webhookTime)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, w.url, bytes.NewReader(body))
	if err != nil {
		return errors.New("posting an alarm: the address of the webhook is no URL")
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := w.client.Do(req)
	if err != nil {
		if urlError := errors.Unwrap(err); urlError != nil {
			err = urlError // without the URL around it
		}
		return fmt.Errorf("posting an alarm: %w", err)
	}
	defer res.Body.Close()
	if res.StatusCode < 200 || res.StatusCode > 299 {
		return fmt.Errorf("posting an alarm: status %d", res.StatusCode)
	}
	return nil
}
