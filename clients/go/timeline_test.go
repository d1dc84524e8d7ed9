package orchestration

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/codes"

	v1 "github.com/orchestration-ledger/orchestration/clients/go/orchestrationv1"
)

func batch(cursors ...string) *v1.StreamTimelineResponse {
	events := &v1.EventBatch{}
	for _, cursor := range cursors {
		events.Events = append(events.Events, &v1.Event{Id: cursor, Cursor: cursor})
	}
	return &v1.StreamTimelineResponse{Message: &v1.StreamTimelineResponse_Events{Events: events}}
}

func checkpoint(cursor string) *v1.StreamTimelineResponse {
	return &v1.StreamTimelineResponse{Message: &v1.StreamTimelineResponse_Checkpoint{
		Checkpoint: &v1.TimelineCheckpoint{Cursor: cursor}}}
}

func caughtUp(cursor string) *v1.StreamTimelineResponse {
	return &v1.StreamTimelineResponse{Message: &v1.StreamTimelineResponse_CaughtUp{
		CaughtUp: &v1.TimelineCaughtUp{Cursor: cursor}}}
}

func fellBehind(cursor string) *v1.StreamTimelineResponse {
	return &v1.StreamTimelineResponse{Message: &v1.StreamTimelineResponse_FellBehind{
		FellBehind: &v1.TimelineFellBehind{Cursor: cursor}}}
}

func messages(messages ...*v1.StreamTimelineResponse) []*v1.StreamTimelineResponse {
	return messages
}

// readIDs returns the ids of the next events.
func readIDs(t *testing.T, timeline *Timeline, count int) []string {
	t.Helper()
	var ids []string
	for range count {
		event, err := timeline.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, event.GetId())
	}
	return ids
}

// starts returns the cursors after which the streams were opened.
func starts(events *fakeEvents) []string {
	var cursors []string
	for _, request := range events.requests {
		cursors = append(cursors, request.GetAfterCursor())
	}
	return cursors
}

func TestABrokenTimelineGoesOnAfterTheLastEvent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		events := &fakeEvents{scripts: []script{
			{messages: messages(batch("a", "b")), err: unavailable()},
			{err: unavailable()},
			{messages: messages(batch("c")), err: io.EOF},
			{messages: messages(batch("d"))},
		}}
		timeline := newTestClient(t, events, nil).Follow(&v1.StreamTimelineRequest{Follow: true})
		if ids := readIDs(t, timeline, 4); !slices.Equal(ids, []string{"a", "b", "c", "d"}) {
			t.Error(ids)
		}
		if found := starts(events); !slices.Equal(found, []string{"", "b", "b", "c"}) {
			t.Error(found)
		}
		if timeline.Cursor() != "d" {
			t.Error(timeline.Cursor())
		}
	})
}

func TestTheStartOfTheCallerIsKeptUntilThereIsACursor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		events := &fakeEvents{scripts: []script{{err: unavailable()}, {messages: messages(batch("a"))}}}
		request := &v1.StreamTimelineRequest{Start: &v1.StreamTimelineRequest_Last{Last: 3}, Follow: true}
		timeline := newTestClient(t, events, nil).Follow(request)
		request.Start = nil // The timeline has its own copy.
		readIDs(t, timeline, 1)
		for _, each := range events.requests {
			if each.GetLast() != 3 {
				t.Error(each)
			}
		}
	})
}

func TestCheckpointsMoveTheCursor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		events := &fakeEvents{scripts: []script{
			{messages: messages(checkpoint("5")), err: unavailable()},
			{messages: messages(caughtUp("6")), err: unavailable()},
			{messages: messages(fellBehind("7"), &v1.StreamTimelineResponse{}), err: unavailable()},
			{messages: messages(caughtUp("8"))},
		}}
		timeline := newTestClient(t, events, nil).Follow(&v1.StreamTimelineRequest{Follow: true})
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if _, err := timeline.Next(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		if found := starts(events); !slices.Equal(found, []string{"", "5", "6", "7"}) {
			t.Error(found)
		}
		if timeline.Cursor() != "8" || !timeline.CaughtUp() {
			t.Error(timeline.Cursor(), timeline.CaughtUp())
		}
	})
}

func TestAWaitThatEndsLosesNoEventAndNoStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		events := &fakeEvents{scripts: []script{{messages: messages(caughtUp("0"))}}}
		timeline := newTestClient(t, events, nil).Follow(&v1.StreamTimelineRequest{Follow: true})
		for range 3 {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			if _, err := timeline.Next(ctx); !errors.Is(err, context.DeadlineExceeded) {
				t.Error(err)
			}
			cancel()
		}
		if len(events.requests) != 1 {
			t.Errorf("%d streams", len(events.requests))
		}
	})
}

func TestAPermanentErrorEndsATimeline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		archived := &Error{Code: codes.FailedPrecondition, Reason: "CURSOR_ARCHIVED"}
		events := &fakeEvents{scripts: []script{{messages: messages(batch("a")), err: archived}}}
		timeline := newTestClient(t, events, nil).Follow(&v1.StreamTimelineRequest{Follow: true})
		readIDs(t, timeline, 1)
		for range 2 {
			var failed *Error
			if _, err := timeline.Next(t.Context()); !errors.As(err, &failed) || failed.Reason != "CURSOR_ARCHIVED" {
				t.Error(err)
			}
		}
		if len(events.requests) != 1 {
			t.Errorf("%d streams", len(events.requests))
		}
	})
}

func TestAnAmbiguousErrorIsRetriedAFewTimes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		failure := script{err: &Error{Code: codes.Internal}}
		events := &fakeEvents{scripts: slices.Repeat([]script{failure}, 9)}
		timeline := newTestClient(t, events, nil).Follow(&v1.StreamTimelineRequest{Follow: true})
		var failed *Error
		if _, err := timeline.Next(t.Context()); !errors.As(err, &failed) || failed.Code != codes.Internal {
			t.Error(err)
		}
		if len(events.requests) != ambiguousAttempts {
			t.Errorf("%d streams", len(events.requests))
		}
	})
}

func TestATimelineWaitsAsLongAsTheServerSays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		busy := &Error{Code: codes.ResourceExhausted, Retryable: true, RetryDelay: 3 * time.Second}
		events := &fakeEvents{scripts: []script{{err: busy}, {messages: messages(batch("a"))}}}
		readIDs(t, newTestClient(t, events, nil).Follow(&v1.StreamTimelineRequest{Follow: true}), 1)
		if waited := events.opened[1].Sub(events.opened[0]); waited != 3*time.Second {
			t.Error(waited)
		}
	})
}

func TestThePausesOfATimelineGrowAndEndWithItsTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		events := &fakeEvents{scripts: slices.Repeat([]script{{err: unavailable()}}, 99)}
		timeline := newTestClient(t, events, nil).Follow(
			&v1.StreamTimelineRequest{Follow: true}, WithRetryTimeout(time.Minute))
		if _, err := timeline.Next(t.Context()); err == nil {
			t.Error("the timeline waits for ever")
		}
		for index := range len(events.opened) - 1 {
			pause := events.opened[index+1].Sub(events.opened[index])
			ceiling := min(longestBackoff, initialBackoff<<index)
			if pause < ceiling/2 || pause > ceiling {
				t.Errorf("pause %d: %v", index, pause)
			}
		}
		if last := events.opened[len(events.opened)-1].Sub(events.opened[0]); last < time.Minute || last > 70*time.Second {
			t.Error(last)
		}
	})
}

func TestATimelineEndsWithTheHistoryOrWithClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		events := &fakeEvents{scripts: []script{{messages: messages(batch("a")), err: io.EOF}}}
		client := newTestClient(t, events, nil)
		var ids []string
		for event, err := range client.Follow(&v1.StreamTimelineRequest{}).All(t.Context()) {
			if err != nil {
				t.Fatal(err)
			}
			ids = append(ids, event.GetId())
		}
		if !slices.Equal(ids, []string{"a"}) {
			t.Error(ids)
		}
		live := client.Follow(&v1.StreamTimelineRequest{Follow: true})
		time.AfterFunc(time.Second, live.Close)
		if _, err := live.Next(t.Context()); !errors.Is(err, io.EOF) {
			t.Error(err)
		}
	})
}

func TestAGreetingIsProgressOnlyIfTheStreamLivesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		retry := streamRetry{timeout: time.Minute, log: slog.New(slog.DiscardHandler)}
		failure := &Error{Code: codes.Internal}
		for range 4 {
			retry.heard()
			if _, again := retry.pause(failure, false); !again {
				t.Fatal("five attempts in a row")
			}
		}
		retry.heard()
		time.Sleep(longestBackoff)
		if _, again := retry.pause(failure, false); !again || retry.ambiguous != 1 {
			t.Error("the stream lived for a while, so this is the first failure of another series")
		}
	})
}
