package main

import (
	"context"
	"errors"
	"io"
	"sync"

	orchestration "github.com/orchestration-ledger/orchestration/clients/go"
	v1 "github.com/orchestration-ledger/orchestration/clients/go/orchestrationv1"
)

// follower is a timeline that one command reads at a time.
type follower struct {
	reading  sync.Mutex
	timeline *orchestration.Timeline
}

func (d *driver) follow(_ context.Context, given command) (any, error) {
	client, err := d.clients.get(given.Client)
	if err != nil {
		return nil, err
	}
	request := &v1.StreamTimelineRequest{}
	if err := decode(given.Request, request); err != nil {
		return nil, err
	}
	if d.fault == forgetCursor {
		client = forgetful(client, request)
	}
	d.followers.set(given.Follower, &follower{timeline: client.Follow(request)})
	return object{}, nil
}

func (d *driver) unfollow(_ context.Context, given command) (any, error) {
	found, err := d.followers.get(given.Follower)
	if err != nil {
		return nil, err
	}
	found.timeline.Close()
	return object{}, nil
}

func (d *driver) next(ctx context.Context, given command) (any, error) {
	found, err := d.followers.get(given.Follower)
	if err != nil {
		return nil, err
	}
	found.reading.Lock()
	defer found.reading.Unlock()
	ctx, cancel := context.WithTimeout(ctx, seconds(given.Timeout))
	defer cancel()
	var events []*v1.Event
	ended, timedOut := false, false
	for len(events) < given.Count && !ended && !timedOut {
		event, err := found.timeline.Next(ctx)
		switch {
		case err == nil:
			events = append(events, event)
		case errors.Is(err, io.EOF):
			ended = true
		case ctx.Err() != nil && errors.Is(err, ctx.Err()):
			timedOut = true
		case len(events) == 0:
			return nil, err
		default:
			ended = true // The next command gets the error, which is final.
		}
	}
	encoded, err := encode(events...)
	return object{
		"events": encoded, "cursor": found.timeline.Cursor(), "ended": ended, "timedOut": timedOut,
	}, err
}
