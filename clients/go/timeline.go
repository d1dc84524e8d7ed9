package orchestration

import (
	"context"
	"errors"
	"io"
	"iter"
	"sync"
	"time"

	"google.golang.org/protobuf/proto"

	v1 "github.com/orchestration-ledger/orchestration/clients/go/orchestrationv1"
)

// Timeline reads events in the order of the log. It returns each event once: if the stream breaks, it is opened again
// after the last event. One goroutine reads; any may call Cursor, CaughtUp and Close.
type Timeline struct {
	client  *Client
	request *v1.StreamTimelineRequest
	retry   streamRetry
	// life ends with Close, or with the client.
	life  context.Context
	close context.CancelFunc

	// The reading goroutine owns these.
	waiting   []*v1.Event
	stream    *timelineStream
	notBefore time.Time
	ended     error

	position sync.Mutex // guards cursor and caughtUp
	cursor   string
	caughtUp bool
}

// Follow returns the timeline of a request. Set follow in the request to wait for new events after the history. The stream
// is opened by the first Next, so errors of the request come from there. Close the timeline when you no longer read it.
func (c *Client) Follow(request *v1.StreamTimelineRequest, options ...StreamOption) *Timeline {
	chosen := streamOptions{}.with(options)
	timeline := &Timeline{
		client:  c,
		request: proto.CloneOf(request),
		retry:   streamRetry{timeout: chosen.retryTimeout, log: c.log},
		cursor:  request.GetAfterCursor(),
	}
	timeline.life, timeline.close = context.WithCancel(c.life)
	return timeline
}

// Next returns the next event. It returns io.EOF after the history if the request does not follow, and after Close. If ctx
// ends while it waits, it returns the error of ctx, and the next call goes on from there. Any other error is final: the
// timeline cannot go on.
func (t *Timeline) Next(ctx context.Context) (*v1.Event, error) {
	for {
		if t.ended == nil && t.life.Err() != nil {
			t.end(io.EOF)
		}
		if t.ended != nil {
			return nil, t.ended
		}
		if len(t.waiting) > 0 {
			return t.take(), nil
		}
		if err := t.read(ctx); err != nil {
			return nil, err
		}
	}
}

// All returns an iterator over the events, as Next returns them. It ends after the history or with an error; if the loop
// is left, the next one goes on from there.
func (t *Timeline) All(ctx context.Context) iter.Seq2[*v1.Event, error] {
	return func(yield func(*v1.Event, error) bool) {
		for {
			event, err := t.Next(ctx)
			if errors.Is(err, io.EOF) {
				return
			}
			if !yield(event, err) || err != nil {
				return
			}
		}
	}
}

// Cursor returns the position to store, and to go on from as after_cursor: that of the last event that Next returned, or a
// later one if no event has matched the filter since. It is empty until the server has sent a first one.
func (t *Timeline) Cursor() string {
	t.position.Lock()
	defer t.position.Unlock()
	return t.cursor
}

// CaughtUp returns true if the history has been read and the following events are live.
func (t *Timeline) CaughtUp() bool {
	t.position.Lock()
	defer t.position.Unlock()
	return t.caughtUp
}

// Close ends the timeline, even if another goroutine waits in Next.
func (t *Timeline) Close() {
	t.close()
}

func (t *Timeline) end(err error) {
	t.ended = err
	t.waiting = nil
	t.leave()
	t.close()
}

func (t *Timeline) take() *v1.Event {
	event := t.waiting[0]
	t.waiting = t.waiting[1:]
	t.move(event.GetCursor(), t.CaughtUp())
	return event
}

func (t *Timeline) move(cursor string, caughtUp bool) {
	t.position.Lock()
	defer t.position.Unlock()
	if cursor != "" {
		t.cursor = cursor
	}
	t.caughtUp = caughtUp
}

// read takes one message of the stream. If the stream has broken, it opens it again when the pause is over. It returns an
// error only if ctx ends.
func (t *Timeline) read(ctx context.Context) error {
	if pause := time.Until(t.notBefore); pause > 0 {
		timer := time.NewTimer(pause)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-t.life.Done():
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	if t.stream == nil {
		t.stream = t.open()
	}
	select {
	case got := <-t.stream.received:
		t.accept(got)
	case <-t.life.Done():
	case <-ctx.Done():
		return ctx.Err()
	}
	return nil
}

// accept takes what the stream received. All events of the message before were returned, so no cursor is too early.
func (t *Timeline) accept(got received) {
	if got.err != nil {
		t.broke(got.err)
		return
	}
	before := t.Cursor()
	switch message := got.message.GetMessage().(type) {
	case *v1.StreamTimelineResponse_Events:
		t.waiting = message.Events.GetEvents()
	case *v1.StreamTimelineResponse_Checkpoint:
		t.move(message.Checkpoint.GetCursor(), t.CaughtUp())
	case *v1.StreamTimelineResponse_CaughtUp:
		t.move(message.CaughtUp.GetCursor(), true)
	case *v1.StreamTimelineResponse_FellBehind:
		t.move(message.FellBehind.GetCursor(), false)
	default: // a message of a newer server
	}
	if len(t.waiting) > 0 || t.Cursor() != before {
		t.retry.progress()
	} else {
		t.retry.heard()
	}
}

func (t *Timeline) broke(err error) {
	t.leave()
	if t.life.Err() != nil {
		return
	}
	failure := ended()
	switch {
	case !errors.Is(err, io.EOF):
		failure = asError(t.life, err)
	case !t.request.GetFollow():
		t.end(io.EOF)
		return
	}
	delay, again := t.retry.pause(failure, false)
	if !again {
		t.end(failure)
		return
	}
	t.notBefore = time.Now().Add(delay)
	t.move("", false)
}

func (t *Timeline) leave() {
	if t.stream != nil {
		t.stream.cancel()
		t.stream = nil
	}
}

// resume returns the request to go on with. Until a first cursor is known it has the start of the caller.
func (t *Timeline) resume() *v1.StreamTimelineRequest {
	request := proto.CloneOf(t.request)
	if cursor := t.Cursor(); cursor != "" {
		request.Start = &v1.StreamTimelineRequest_AfterCursor{AfterCursor: cursor}
	}
	return request
}

// timelineStream is one call of StreamTimeline, whose messages a goroutine receives one ahead of the reader.
type timelineStream struct {
	received chan received
	cancel   context.CancelFunc
}

type received struct {
	message *v1.StreamTimelineResponse
	err     error
}

func (t *Timeline) open() *timelineStream {
	stream := &timelineStream{received: make(chan received)}
	var ctx context.Context
	ctx, stream.cancel = context.WithCancel(t.life)
	go stream.run(ctx, t.client.Events, t.resume())
	return stream
}

func (s *timelineStream) run(ctx context.Context, events v1.EventServiceClient, request *v1.StreamTimelineRequest) {
	call, err := events.StreamTimeline(ctx, request)
	for {
		var got received
		if err == nil {
			got.message, err = call.Recv()
		}
		got.err = err
		select {
		case s.received <- got:
		case <-ctx.Done():
			return
		}
		if err != nil {
			return
		}
	}
}
