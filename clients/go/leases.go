package orchestration

import (
	"time"

	v1 "github.com/orchestration-ledger/orchestration/clients/go/orchestrationv1"
)

const (
	// maxBeats is the most leases of one heartbeat.
	maxBeats = 10_000
	// beatsPerLease is the number of heartbeats in the duration of a lease.
	beatsPerLease = 3
	// beatRetriesPerLease is the number of attempts in the duration of a lease while heartbeats fail.
	beatRetriesPerLease = 20
)

// Why a lease is lost.
const (
	hasEnded  = "the server says that the lease has ended"
	outOfTime = "no heartbeat was accepted in time"
)

// keptLease is a lease that the client keeps. The owner of the table calls lost once, and directed with each answer.
type keptLease struct {
	lease    *v1.Lease
	lost     func(reason string)
	directed func(directive v1.Directive, reason string, budget *v1.Budget)
	usage    *v1.Usage
	// validUntil is the moment until which the lease is certainly valid: its duration after the sending of the last
	// heartbeat that the server accepted, or of the claim.
	validUntil time.Time
	nextBeat   time.Time
	sending    bool
	// ending is true while the client releases the task: then the server may say that the lease has ended.
	ending bool
}

func (k *keptLease) duration() time.Duration {
	return k.lease.GetDuration().AsDuration()
}

// leaseTable has the leases of one client. It has no clock and no I/O of its own.
type leaseTable struct {
	kept map[*keptLease]struct{}
}

func (t *leaseTable) add(kept *keptLease, now time.Time) {
	kept.nextBeat = now.Add(kept.duration() / beatsPerLease)
	if t.kept == nil {
		t.kept = make(map[*keptLease]struct{})
	}
	t.kept[kept] = struct{}{}
}

// remove keeps a lease no longer. Answers that arrive later are ignored.
func (t *leaseTable) remove(kept *keptLease) {
	delete(t.kept, kept)
}

// nextWake returns the moment at which the next heartbeat or expiry is due. It returns false if there is no lease.
func (t *leaseTable) nextWake() (time.Time, bool) {
	var wake time.Time
	for kept := range t.kept {
		moment := kept.validUntil
		if !kept.sending && kept.nextBeat.Before(moment) {
			moment = kept.nextBeat
		}
		if wake.IsZero() || moment.Before(wake) {
			wake = moment
		}
	}
	return wake, len(t.kept) > 0
}

// firstExpiry returns the moment at which the first of some leases is lost unless a heartbeat is accepted.
func firstExpiry(beaten []*keptLease) time.Time {
	first := beaten[0].validUntil
	for _, kept := range beaten[1:] {
		if kept.validUntil.Before(first) {
			first = kept.validUntil
		}
	}
	return first
}

// expire gives up the leases that are no longer certainly valid.
func (t *leaseTable) expire(now time.Time) {
	for kept := range t.kept {
		if !now.Before(kept.validUntil) {
			t.lose(kept, outOfTime)
		}
	}
}

func (t *leaseTable) lose(kept *keptLease, reason string) {
	t.remove(kept)
	kept.lost(reason)
}

// due returns the leases to beat now, and those that are due soon, so that they share a call.
func (t *leaseTable) due(now time.Time) []*keptLease {
	isDue := false
	for kept := range t.kept {
		isDue = isDue || !kept.sending && !kept.nextBeat.After(now)
	}
	if !isDue {
		return nil
	}
	var found []*keptLease
	for kept := range t.kept {
		early := kept.nextBeat.Add(-kept.duration() / (2 * beatsPerLease))
		if !kept.sending && !early.After(now) && len(found) < maxBeats {
			kept.sending = true
			found = append(found, kept)
		}
	}
	return found
}

// accepted takes the answer to a heartbeat, which has one state a lease, in their order.
func (t *leaseTable) accepted(beaten []*keptLease, states []*v1.LeaseState, sentAt, now time.Time) {
	for index, kept := range beaten {
		kept.sending = false
		if _, still := t.kept[kept]; !still {
			continue
		}
		state := states[index]
		if state.GetStatus() != v1.LeaseStatus_LEASE_STATUS_HELD {
			if kept.ending {
				kept.nextBeat = now.Add(kept.duration() / beatRetriesPerLease)
				continue
			}
			t.lose(kept, hasEnded)
			continue
		}
		// The deadline of an attempt may leave less than the duration. Time passes at the same speed on all clocks,
		// whatever they show.
		left := min(kept.duration(), state.GetTimeLeft().AsDuration())
		kept.validUntil = sentAt.Add(left)
		kept.nextBeat = sentAt.Add(left / beatsPerLease)
		kept.directed(state.GetDirective(), state.GetReason(), state.GetBudgetLeft())
	}
}

// failed takes the failure of a heartbeat. The server may have accepted it, so it is tried again soon.
func (t *leaseTable) failed(beaten []*keptLease, now time.Time) {
	for _, kept := range beaten {
		kept.sending = false
		kept.nextBeat = now.Add(kept.duration() / beatRetriesPerLease)
	}
}

// heartbeatRequest returns the heartbeat of leases.
func heartbeatRequest(beaten []*keptLease) *v1.HeartbeatRequest {
	request := &v1.HeartbeatRequest{}
	for _, kept := range beaten {
		request.Leases = append(request.Leases, &v1.LeaseRef{
			TaskCode: kept.lease.GetTaskCode(), Fence: kept.lease.GetFence(), Usage: kept.usage,
		})
	}
	return request
}
