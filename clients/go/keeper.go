package orchestration

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	v1 "github.com/orchestration-ledger/orchestration/clients/go/orchestrationv1"
)

const (
	// longestBeat is the longest deadline of a heartbeat, and shortestBeat the shortest.
	longestBeat  = 5 * time.Second
	shortestBeat = 50 * time.Millisecond
)

// leaseKeeper sends the heartbeats of all work of one client, and gives up the leases whose heartbeats do not arrive. Its
// goroutine starts with the first lease, and ends with the client.
type leaseKeeper struct {
	coordination v1.CoordinationServiceClient
	log          *slog.Logger
	life         context.Context
	start        sync.Once
	changed      chan struct{}

	lock  sync.Mutex // guards table, and the leases in it
	table leaseTable
}

func newLeaseKeeper(life context.Context, coordination v1.CoordinationServiceClient, log *slog.Logger) *leaseKeeper {
	return &leaseKeeper{coordination: coordination, log: log, life: life, changed: make(chan struct{}, 1)}
}

// keep beats for a lease until drop.
func (k *leaseKeeper) keep(kept *keptLease) {
	k.lock.Lock()
	if k.life.Err() != nil {
		kept.lost(ErrClosed.Error())
		k.lock.Unlock()
		return
	}
	k.table.add(kept, time.Now())
	k.lock.Unlock()
	k.start.Do(func() { go k.run() })
	k.wake()
}

// drop beats for a lease no longer.
func (k *leaseKeeper) drop(kept *keptLease) {
	k.lock.Lock()
	defer k.lock.Unlock()
	k.table.remove(kept)
}

// expire gives up the leases whose time has passed.
func (k *leaseKeeper) expire() {
	k.lock.Lock()
	defer k.lock.Unlock()
	k.table.expire(time.Now())
}

// setEnding says whether the client is releasing the task of a lease.
func (k *leaseKeeper) setEnding(kept *keptLease, ending bool) {
	k.lock.Lock()
	defer k.lock.Unlock()
	kept.ending = ending
}

// report sets the usage that each heartbeat of a lease reports from now on.
func (k *leaseKeeper) report(kept *keptLease, usage *v1.Usage) {
	k.lock.Lock()
	defer k.lock.Unlock()
	kept.usage = usage
}

// loseAll gives up all leases.
func (k *leaseKeeper) loseAll(reason string) {
	k.lock.Lock()
	defer k.lock.Unlock()
	for kept := range k.table.kept {
		k.table.lose(kept, reason)
	}
}

func (k *leaseKeeper) wake() {
	select {
	case k.changed <- struct{}{}:
	default:
	}
}

func (k *leaseKeeper) run() {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for k.life.Err() == nil {
		timer.Reset(k.step())
		select {
		case <-timer.C:
		case <-k.changed:
		case <-k.life.Done():
		}
	}
}

// step gives up leases and starts the heartbeats that are due. It returns the time until the next step.
func (k *leaseKeeper) step() time.Duration {
	k.lock.Lock()
	defer k.lock.Unlock()
	now := time.Now()
	k.table.expire(now)
	for due := k.table.due(now); len(due) > 0; due = k.table.due(now) {
		// A call that is not answered by then is of no use.
		left := max(shortestBeat, min(longestBeat, firstExpiry(due).Sub(now)))
		go k.beat(due, heartbeatRequest(due), now, left)
	}
	if wake, ok := k.table.nextWake(); ok {
		return max(0, wake.Sub(now))
	}
	return time.Hour
}

func (k *leaseKeeper) beat(due []*keptLease, request *v1.HeartbeatRequest, sentAt time.Time, left time.Duration) {
	defer k.wake()
	ctx, cancel := context.WithTimeout(k.life, left)
	defer cancel()
	answer, err := k.coordination.Heartbeat(ctx, request)
	if err == nil && len(answer.GetLeases()) != len(due) {
		err = fmt.Errorf("%d leases in the answer to a heartbeat of %d", len(answer.GetLeases()), len(due))
	}
	k.lock.Lock()
	defer k.lock.Unlock()
	if err == nil {
		k.table.accepted(due, answer.GetLeases(), sentAt, time.Now())
		return
	}
	k.table.failed(due, time.Now())
	if k.life.Err() == nil {
		k.log.Warn("orchestration: a heartbeat failed and is sent again", "leases", len(due), "error", err)
	}
}
