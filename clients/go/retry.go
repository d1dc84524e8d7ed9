package orchestration

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"time"

	"google.golang.org/grpc/codes"
)

const (
	initialBackoff = 50 * time.Millisecond
	longestBackoff = 5 * time.Second
	// A connection reset causes INTERNAL or UNKNOWN, and so does a permanent fault of the server.
	ambiguousAttempts = 5
)

// A StreamOption changes how [Client.Follow] and [Client.EmitAll] use their streams.
type StreamOption func(*streamOptions)

type streamOptions struct {
	retryTimeout time.Duration
	batch        int
}

// WithRetryTimeout sets for how long a broken stream is opened again without progress before its error is returned. 0
// means for ever, which is the default of [Client.Follow]; that of [Client.EmitAll] is a minute.
func WithRetryTimeout(timeout time.Duration) StreamOption {
	return func(options *streamOptions) { options.retryTimeout = timeout }
}

// WithBatch sets the most events of one message of [Client.EmitAll], 1 to 500. The default is 500.
func WithBatch(events int) StreamOption {
	return func(options *streamOptions) { options.batch = events }
}

func (o streamOptions) with(options []StreamOption) streamOptions {
	for _, option := range options {
		option(&o)
	}
	return o
}

// streamRetry decides when to open a broken stream again: after 0.05 to 5 seconds, with jitter. The pauses grow until a
// message arrives.
type streamRetry struct {
	timeout     time.Duration
	log         *slog.Logger
	attempts    int
	ambiguous   int
	brokenSince time.Time
	heardSince  time.Time
}

// progress notes that a message brought the caller on.
func (r *streamRetry) progress() {
	r.attempts, r.ambiguous, r.brokenSince = 0, 0, time.Time{}
}

// heard notes that a message arrived that brought nothing new. It is progress if the stream lives on: a server may greet
// each stream, and end it at once.
func (r *streamRetry) heard() {
	if r.heardSince.IsZero() {
		r.heardSince = time.Now()
	}
}

// pause returns how long to wait before the next attempt. It returns false if another attempt would not help or the
// timeout has passed.
func (r *streamRetry) pause(failure *Error, retryable bool) (time.Duration, bool) {
	now := time.Now()
	if !r.heardSince.IsZero() && now.Sub(r.heardSince) >= longestBackoff {
		r.progress()
	}
	r.heardSince = time.Time{}
	if r.brokenSince.IsZero() {
		r.brokenSince = now
	}
	r.attempts++
	if failure.Code == codes.Internal || failure.Code == codes.Unknown {
		r.ambiguous++
	}
	if !retryable && !r.mayRecover(failure) || r.timeout > 0 && now.Sub(r.brokenSince) >= r.timeout {
		return 0, false
	}
	ceiling := min(longestBackoff, initialBackoff<<min(r.attempts-1, 10))
	delay := max(ceiling/2+rand.N(ceiling/2+1), failure.RetryDelay)
	level := slog.LevelWarn
	if failure.Code == codes.DeadlineExceeded {
		level = slog.LevelDebug // This package sets the deadline, to leave a stream that hangs.
	}
	r.log.Log(context.Background(), level, "orchestration: a stream broke and is opened again",
		"error", failure, "delay", delay)
	return delay, true
}

func (r *streamRetry) mayRecover(failure *Error) bool {
	switch failure.Code {
	case codes.Unavailable, codes.Canceled, codes.DeadlineExceeded, codes.Aborted:
		return true
	case codes.ResourceExhausted:
		return failure.Retryable // Else it comes from the transport: a message is too large.
	case codes.Internal, codes.Unknown:
		return r.ambiguous < ambiguousAttempts
	default:
		return false
	}
}
