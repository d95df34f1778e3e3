package attest

import (
	"fmt"
	"time"
)

// Time is a moment in whole seconds since 1970 UTC. Its text form is RFC 3339
// with the zone letter Z and no fraction: one moment, one spelling.
type Time int64

// timeLayout is what [time.RFC3339], which package time is quick with, comes to in UTC.
const timeLayout = "2006-01-02T15:04:05Z"

// latestTime keeps the year at four digits, so that text order is time order.
const latestTime Time = 253402300799 // 9999-12-31T23:59:59Z

// At returns t cut to the second.
func At(t time.Time) Time { return Time(t.Unix()) }

// Time returns the moment as a time.Time in UTC.
func (t Time) Time() time.Time { return time.Unix(int64(t), 0).UTC() }

// Add returns the moment d later; d counts in whole seconds.
func (t Time) Add(d time.Duration) Time { return t + Time(d/time.Second) }

// IsZero reports whether the time was never set. 1970 is before every release.
func (t Time) IsZero() bool { return t == 0 }

// String returns the text form.
func (t Time) String() string { return t.Time().Format(time.RFC3339) }

// AppendText implements encoding.TextAppender.
func (t Time) AppendText(b []byte) ([]byte, error) {
	if t < 0 || t > latestTime {
		return nil, fmt.Errorf("time %d is outside the years 1970 to 9999", int64(t))
	}
	return t.Time().AppendFormat(b, time.RFC3339), nil
}

// MarshalText implements encoding.TextMarshaler.
func (t Time) MarshalText() ([]byte, error) { return t.AppendText(nil) }

// UnmarshalText implements encoding.TextUnmarshaler.
func (t *Time) UnmarshalText(text []byte) error {
	var parsed time.Time
	err := parsed.UnmarshalText(text)
	at := At(parsed)
	if err != nil || at < 0 || at.String() != string(text) {
		return malformed("time %q is not of the form %s", clip(string(text)), timeLayout)
	}
	*t = at
	return nil
}
