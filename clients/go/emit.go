package orchestration

import (
	"context"
	"errors"
	"io"
	"iter"
	"strconv"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	v1 "github.com/orchestration-ledger/orchestration/clients/go/orchestrationv1"
)

const (
	maxBatch      = 500
	maxInFlight   = 4
	maxBatchBytes = 2 << 20 // below the 4 MiB that a gRPC server accepts by default
	// If a server stops answering, the stream ends after this time, and unanswered messages are sent again.
	emitStreamTime = 120 * time.Second
	emitFinishTime = 5 * time.Second
)

// EmitTotals has the numbers of events that were stored, were duplicates by their dedup_key, or were left out by sampling.
type EmitTotals struct {
	// Stored is the number of events that were stored.
	Stored int64
	// Duplicates is the number of events whose dedup_key existed already.
	Duplicates int64
	// SampledOut is the number of events that sampling counted and left out.
	SampledOut int64
}

// EmitAll stores all events over one stream, in messages of up to 500 events and 2 MiB. At most 4 messages wait for an
// answer, so its memory does not grow with the number of events; do not change an event before EmitAll returns. If the
// stream breaks, the messages without an answer are sent again under the same request_id, so each takes effect once.
//
// If the server refuses a message, the metadata of the [Error] has first_event, the index of its first event. The events of
// other messages may be stored then, and the totals count those that were answered; give events a dedup_key if you may run
// the whole again.
func (c *Client) EmitAll(
	ctx context.Context, events iter.Seq[*v1.NewEvent], options ...StreamOption,
) (EmitTotals, error) {
	chosen := streamOptions{retryTimeout: time.Minute, batch: maxBatch}.with(options)
	if chosen.batch < 1 || chosen.batch > maxBatch {
		return EmitTotals{}, invalid("a batch has 1 to %d events, not %d", maxBatch, chosen.batch)
	}
	next, stop := iter.Pull(emitMessages(events, chosen.batch))
	defer stop()
	emitter := &emitter{ctx: ctx, client: c, retry: streamRetry{timeout: chosen.retryTimeout, log: c.log}}
	defer emitter.leave()
	err := emitter.run(next)
	return emitter.totals, err
}

// emitMessages packs events into messages of limited length and size.
func emitMessages(events iter.Seq[*v1.NewEvent], size int) iter.Seq[*v1.EmitEventsRequest] {
	return func(yield func(*v1.EmitEventsRequest) bool) {
		var batch []*v1.NewEvent
		var bytes int
		flush := func() bool {
			message := &v1.EmitEventsRequest{RequestId: NewRequestID(), Events: batch}
			batch, bytes = nil, 0
			return yield(message)
		}
		for event := range events {
			length := proto.Size(event)
			if len(batch) > 0 && (len(batch) >= size || bytes+length > maxBatchBytes) && !flush() {
				return
			}
			batch = append(batch, event)
			bytes += length
		}
		if len(batch) > 0 {
			flush()
		}
	}
}

// emitter sends messages and takes their answers.
type emitter struct {
	ctx    context.Context
	client *Client
	retry  streamRetry
	totals EmitTotals
	// pending are the messages without an answer, oldest first.
	pending []pendingEmit
	taken   int
	stream  v1.EventService_EmitEventsClient
	cancel  context.CancelFunc
}

type pendingEmit struct {
	message *v1.EmitEventsRequest
	first   int
}

func (e *emitter) run(next func() (*v1.EmitEventsRequest, bool)) error {
	for more := true; ; {
		for more && len(e.pending) < maxInFlight {
			var message *v1.EmitEventsRequest
			if message, more = next(); more {
				e.add(message)
			}
		}
		if len(e.pending) == 0 {
			e.finish()
			return nil
		}
		delay, err := e.exchange()
		if err != nil {
			return err
		}
		if delay > 0 {
			e.leave()
			if err := sleep(e.ctx, delay); err != nil {
				return err
			}
		}
	}
}

func (e *emitter) add(message *v1.EmitEventsRequest) {
	e.pending = append(e.pending, pendingEmit{message: message, first: e.taken})
	e.taken += len(message.GetEvents())
	if e.stream != nil {
		_ = e.stream.Send(message) // If it fails, so does Recv, which tells why.
	}
}

// exchange waits for one answer. If all messages without an answer have to be sent again, it returns after which time.
func (e *emitter) exchange() (time.Duration, error) {
	answer, err := e.receive()
	if err != nil {
		return e.broke(err)
	}
	at := -1
	for index, waiting := range e.pending {
		if waiting.message.GetRequestId() == answer.GetRequestId() {
			at = index
		}
	}
	if at < 0 {
		return 0, nil
	}
	if answer.GetError() != nil {
		return e.refused(answer, e.pending[at])
	}
	e.retry.progress()
	e.totals.Stored += int64(answer.GetStored())
	e.totals.Duplicates += int64(answer.GetDuplicates())
	e.totals.SampledOut += int64(answer.GetSampledOut())
	e.pending = append(e.pending[:at:at], e.pending[at+1:]...)
	return 0, nil
}

func (e *emitter) receive() (*v1.EmitEventsResponse, error) {
	if e.stream == nil {
		var ctx context.Context
		ctx, e.cancel = context.WithTimeout(e.ctx, emitStreamTime)
		stream, err := e.client.Events.EmitEvents(ctx)
		if err != nil {
			return nil, err
		}
		e.stream = stream
		for _, waiting := range e.pending {
			_ = e.stream.Send(waiting.message) // If it fails, so does Recv, which tells why.
		}
	}
	return e.stream.Recv()
}

func (e *emitter) broke(err error) (time.Duration, error) {
	if errors.Is(err, ErrClosed) {
		return 0, err
	}
	if e.ctx.Err() != nil {
		return 0, asError(e.ctx, err)
	}
	failure := ended()
	if !errors.Is(err, io.EOF) {
		failure = asError(e.ctx, err)
	}
	delay, again := e.retry.pause(failure, false)
	if !again {
		return 0, failure
	}
	return delay, nil
}

func (e *emitter) refused(answer *v1.EmitEventsResponse, waiting pendingEmit) (time.Duration, error) {
	failure := emitError(answer.GetError(), map[string]string{
		"request_id":  answer.GetRequestId(),
		"first_event": strconv.Itoa(waiting.first),
	})
	if !failure.Retryable {
		return 0, failure
	}
	delay, again := e.retry.pause(failure, true)
	if !again {
		return 0, failure
	}
	return delay, nil
}

// finish tells the server that there are no more messages, and waits for the end of the stream. All messages are answered,
// so its outcome is irrelevant.
func (e *emitter) finish() {
	if e.stream == nil {
		return
	}
	timer := time.AfterFunc(emitFinishTime, e.cancel)
	defer timer.Stop()
	_ = e.stream.CloseSend()
	for {
		if _, err := e.stream.Recv(); err != nil {
			return
		}
	}
}

func (e *emitter) leave() {
	if e.cancel != nil {
		e.cancel()
	}
	e.stream, e.cancel = nil, nil
}

// sleep waits, unless ctx ends first.
func sleep(ctx context.Context, delay time.Duration) error {
	timer := time.NewTimer(delay)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return &Error{Code: contextCode(ctx), Message: ctx.Err().Error(), cause: ctx.Err()}
	}
}

func contextCode(ctx context.Context) codes.Code {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return codes.DeadlineExceeded
	}
	return codes.Canceled
}
