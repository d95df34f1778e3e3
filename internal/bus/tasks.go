package bus

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// pullWait is how long one request for a task stays at the server.
const pullWait = 30 * time.Second

// TaskMessage is a task with the promises that go with its delivery. Exactly
// one of Done and Later ends it; without either it is delivered again, maybe to
// another agent of the rebuilder, AckWait after the last Extend.
type TaskMessage struct {
	Task

	// Redelivered says that an agent had this task before, maybe this one.
	Redelivered bool

	conn *Conn
	msg  jetstream.Msg
}

// Extend says that the task is being worked on. It is to be called more often
// than AckWait, for instance every third of it.
func (t TaskMessage) Extend() { t.conn.settle(t.msg, t.msg.InProgress()) }

// Done ends the task: its outcome is safe in the agent's spool.
func (t TaskMessage) Done() { t.conn.settle(t.msg, t.msg.Ack()) }

// Later gives the task back, to be delivered again after d.
func (t TaskMessage) Later(d time.Duration) { t.conn.settle(t.msg, t.msg.NakWithDelay(d)) }

// Tasks hands tasks to handle, at most slots at a time, until ctx ends; then it
// waits for the running ones. It asks for a task only when a slot is free, so
// that none waits here while another agent of the rebuilder is idle.
func (c *Conn) Tasks(ctx context.Context, rebuilder string, slots int, handle func(context.Context, TaskMessage)) error {
	var running sync.WaitGroup
	defer running.Wait()
	free := make(chan struct{}, slots)
	return c.consume(ctx, StreamTasks, tasksConsumer(rebuilder), func(ctx context.Context, consumer jetstream.Consumer) error {
		for {
			select {
			case free <- struct{}{}:
			case <-ctx.Done():
				return ctx.Err()
			}
			m, err := nextTask(ctx, consumer)
			if err != nil || m == nil {
				<-free
				if err != nil {
					return err
				}
				continue
			}
			running.Go(func() {
				defer func() { <-free }()
				c.handleTask(ctx, m, handle)
			})
		}
	})
}

// nextTask waits for a task. It returns nil when there was none for pullWait.
func nextTask(ctx context.Context, consumer jetstream.Consumer) (jetstream.Msg, error) {
	pull, cancel := context.WithTimeout(ctx, pullWait)
	defer cancel()
	m, err := consumer.Next(jetstream.FetchContext(pull))
	switch {
	case err == nil:
		return m, nil
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case errors.Is(err, nats.ErrTimeout), errors.Is(err, context.DeadlineExceeded), errors.Is(err, jetstream.ErrNoMessages):
		return nil, nil
	}
	return nil, err
}

func (c *Conn) handleTask(ctx context.Context, m jetstream.Msg, handle func(context.Context, TaskMessage)) {
	delivered := c.note(m)
	task, err := DecodeTask(m.Data())
	if err != nil {
		// It will never be readable: do not have it delivered again.
		c.log.ErrorContext(ctx, "nats task dropped", slog.String("subject", m.Subject()), slog.Any("error", err))
		c.settle(m, m.Term())
		return
	}
	handle(ctx, TaskMessage{Task: task, Redelivered: delivered > 1, conn: c, msg: m})
}
