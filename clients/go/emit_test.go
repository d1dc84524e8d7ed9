package orchestration

import (
	"context"
	"errors"
	"iter"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/codes"

	v1 "github.com/orchestration-ledger/orchestration/clients/go/orchestrationv1"
)

func newEvents(count int) iter.Seq[*v1.NewEvent] {
	return slices.Values(slices.Repeat([]*v1.NewEvent{{Type: "test.step"}}, count))
}

func stored(message *v1.EmitEventsRequest) *v1.EmitEventsResponse {
	return &v1.EmitEventsResponse{RequestId: message.GetRequestId(), Stored: int32(len(message.GetEvents()))}
}

// firstOnly answers the first message of a stream, and no other.
func firstOnly() func(*v1.EmitEventsRequest) *v1.EmitEventsResponse {
	first := true
	return func(message *v1.EmitEventsRequest) *v1.EmitEventsResponse {
		if !first {
			return nil
		}
		first = false
		return stored(message)
	}
}

func idsOf(messages []*v1.EmitEventsRequest) []string {
	var ids []string
	for _, message := range messages {
		ids = append(ids, message.GetRequestId())
	}
	return ids
}

func TestUnansweredMessagesAreSentAgainUnderTheirIDs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		events := &fakeEvents{scripts: []script{
			{answers: firstOnly(), err: unavailable()}, {err: unavailable()}, {answers: stored},
		}}
		totals, err := newTestClient(t, events, nil).EmitAll(t.Context(), newEvents(60), WithBatch(10))
		if err != nil || totals != (EmitTotals{Stored: 60}) {
			t.Fatal(totals, err)
		}
		sent := idsOf(events.streams[0].sent)
		if len(sent) != maxInFlight+1 || slices.Contains(sent, "") {
			t.Error(sent)
		}
		for _, again := range events.streams[1:] {
			if ids := idsOf(again.sent); !slices.Equal(ids[:4], sent[1:5]) {
				t.Errorf("%v after %v", ids, sent)
			}
		}
	})
}

func TestMessagesHaveALimitedLengthAndSize(t *testing.T) {
	large := &v1.NewEvent{Type: strings.Repeat("x", 1<<20)}
	var sizes []int
	for message := range emitMessages(slices.Values([]*v1.NewEvent{large, large, large, {}, {}}), 2) {
		sizes = append(sizes, len(message.GetEvents()))
	}
	if !slices.Equal(sizes, []int{1, 1, 2, 1}) {
		t.Error(sizes)
	}
	for range emitMessages(newEvents(0), 2) {
		t.Error("a message without events")
	}
}

func TestARefusedMessageEndsTheEmission(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		refuse := func(message *v1.EmitEventsRequest) *v1.EmitEventsResponse {
			if len(message.GetEvents()) == 2 {
				return stored(message)
			}
			return &v1.EmitEventsResponse{RequestId: message.GetRequestId(), Error: &v1.EmitError{
				Code: int32(codes.InvalidArgument), Reason: "INVALID_ARGUMENT", Violations: map[string]string{"events[0].type": "no"},
			}}
		}
		events := &fakeEvents{scripts: []script{{answers: refuse}}}
		totals, err := newTestClient(t, events, nil).EmitAll(t.Context(), newEvents(5), WithBatch(2))
		var failed *Error
		if !errors.As(err, &failed) || failed.Code != codes.InvalidArgument || failed.Metadata["first_event"] != "4" ||
			failed.Metadata["request_id"] == "" || failed.Violations["events[0].type"] != "no" {
			t.Errorf("%+v", err)
		}
		if totals.Stored != 4 {
			t.Error(totals)
		}
	})
}

func TestAMessageThatMaySucceedLaterIsSentAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		busy := func(message *v1.EmitEventsRequest) *v1.EmitEventsResponse {
			return &v1.EmitEventsResponse{RequestId: message.GetRequestId(), Error: &v1.EmitError{
				Code: int32(codes.ResourceExhausted), Reason: "EMIT_QUEUE_FULL", Retryable: true,
			}}
		}
		events := &fakeEvents{scripts: []script{{answers: busy}, {answers: stored}}}
		totals, err := newTestClient(t, events, nil).EmitAll(t.Context(), newEvents(1))
		if err != nil || totals.Stored != 1 {
			t.Error(totals, err)
		}
		if first, second := idsOf(events.streams[0].sent), idsOf(events.streams[1].sent); !slices.Equal(first, second) {
			t.Error(first, second)
		}
	})
}

func TestAnEmissionEndsWithItsTimeoutOrItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := newTestClient(t, &fakeEvents{scripts: slices.Repeat([]script{{err: unavailable()}}, 99)}, nil)
		began := time.Now()
		var failed *Error
		if _, err := client.EmitAll(t.Context(), newEvents(1)); !errors.As(err, &failed) || failed.Code != codes.Unavailable {
			t.Error(err)
		}
		if lasted := time.Since(began); lasted < time.Minute || lasted > 70*time.Second {
			t.Error(lasted)
		}
		hung := newTestClient(t, &fakeEvents{}, nil)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := hung.EmitAll(ctx, newEvents(1)); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
	})
}

func TestABatchThatCannotBe(t *testing.T) {
	for _, size := range []int{0, 501} {
		if _, err := newTestClient(t, nil, nil).EmitAll(t.Context(), newEvents(1), WithBatch(size)); !errors.Is(err, ErrInvalid) {
			t.Errorf("%d: %v", size, err)
		}
	}
}
