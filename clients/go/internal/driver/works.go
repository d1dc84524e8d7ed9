package main

import (
	"context"
	"errors"
	"strconv"
	"time"

	orchestration "github.com/orchestration-ledger/orchestration/clients/go"
	v1 "github.com/orchestration-ledger/orchestration/clients/go/orchestrationv1"
)

func (d *driver) claim(ctx context.Context, given command) (any, error) {
	client, err := d.clients.get(given.Client)
	if err != nil {
		return nil, err
	}
	request := &v1.ClaimTaskRequest{}
	if err := decode(given.Request, request); err != nil {
		return nil, err
	}
	work, err := client.Claim(ctx, request)
	if errors.Is(err, orchestration.ErrNoWork) {
		return object{}, nil
	}
	if err != nil {
		return nil, err
	}
	d.works.set(given.Work, work)
	return object{
		"taskCode": work.Code(), "fence": strconv.FormatInt(work.Fence(), 10), "attempt": work.Lease().GetAttempt(),
	}, nil
}

func (d *driver) claims(ctx context.Context, given command) (any, error) {
	client, err := d.clients.get(given.Client)
	if err != nil {
		return nil, err
	}
	request := &v1.ClaimTaskRequest{}
	if err := decode(given.Request, request); err != nil {
		return nil, err
	}
	codes := []string{}
	for work, err := range client.Claims(ctx, request) {
		if err != nil {
			return nil, err
		}
		codes = append(codes, work.Code())
		if err := work.Log(ctx, "working on "+work.Code()); err != nil {
			return nil, err
		}
		if _, err := work.Finish(ctx, "done"); err != nil {
			return nil, err
		}
		if given.Limit > 0 && len(codes) >= given.Limit {
			break
		}
	}
	return object{"taskCodes": codes}, nil
}

// on runs an operation on the work that a command names.
func (d *driver) on(given command, operation func(*orchestration.Work) error) (any, error) {
	work, err := d.works.get(given.Work)
	if err != nil {
		return nil, err
	}
	return object{}, operation(work)
}

func (d *driver) log(ctx context.Context, given command) (any, error) {
	return d.on(given, func(work *orchestration.Work) error { return work.Log(ctx, given.Message) })
}

func (d *driver) update(ctx context.Context, given command) (any, error) {
	task := &v1.Task{}
	if err := decode(given.Task, task); err != nil {
		return nil, err
	}
	return d.on(given, func(work *orchestration.Work) error { return work.Update(ctx, task) })
}

func (d *driver) finish(ctx context.Context, given command) (any, error) {
	return d.on(given, func(work *orchestration.Work) error {
		_, err := work.Finish(ctx, given.Reason)
		return err
	})
}

func (d *driver) giveBack(ctx context.Context, given command) (any, error) {
	return d.on(given, func(work *orchestration.Work) error {
		_, err := work.Return(ctx, given.Reason)
		return err
	})
}

func (d *driver) fail(ctx context.Context, given command) (any, error) {
	return d.on(given, func(work *orchestration.Work) error {
		_, err := work.Fail(ctx, given.Reason)
		return err
	})
}

func (d *driver) block(ctx context.Context, given command) (any, error) {
	return d.on(given, func(work *orchestration.Work) error {
		_, err := work.Block(ctx, given.Reason)
		return err
	})
}

func (d *driver) abandon(_ context.Context, given command) (any, error) {
	return d.on(given, func(work *orchestration.Work) error {
		work.Abandon()
		return nil
	})
}

func (d *driver) state(_ context.Context, given command) (any, error) {
	work, err := d.works.get(given.Work)
	if err != nil {
		return nil, err
	}
	return stateOf(work), nil
}

func stateOf(work *orchestration.Work) object {
	directive, why := work.Directive()
	lost := work.LostReason()
	if lost != "" {
		why = lost
	}
	return object{"lost": lost != "", "reason": why, "directive": directive.String()}
}

func (d *driver) awaitLost(_ context.Context, given command) (any, error) {
	work, err := d.works.get(given.Work)
	if err != nil {
		return nil, err
	}
	timer := time.NewTimer(seconds(given.Timeout))
	defer timer.Stop()
	select {
	case <-work.Lost():
	case <-timer.C:
	}
	return stateOf(work), nil
}
