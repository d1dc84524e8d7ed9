package orchestration

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	v1 "github.com/orchestration-ledger/orchestration/clients/go/orchestrationv1"
)

// take returns the work on claimed tasks, whose leases of 30 seconds begin now.
func take(client *Client, codes ...string) []*Work {
	var works []*Work
	for _, code := range codes {
		works = append(works, newWork(client, claimed(code), time.Now(), nil))
	}
	return works
}

func TestLeasesShareOneHeartbeatAtAThirdOfTheirDuration(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		coordination := &fakeCoordination{}
		client := newTestClient(t, nil, coordination)
		works := take(client, "a")
		time.Sleep(time.Second)
		works = append(works, take(client, "b", "c")...)
		time.Sleep(9 * time.Second)
		synctest.Wait()
		if beats := coordination.sentBeats(); len(beats) != 1 || len(beats[0].GetLeases()) != 3 {
			t.Error(beats)
		}
		time.Sleep(105 * time.Second)
		for _, work := range works {
			if work.Err() != nil {
				t.Error(work.Err())
			}
		}
		if beats := coordination.beatCount(); beats != 11 {
			t.Errorf("%d heartbeats in 115 seconds", beats)
		}
		works[0].Abandon()
		time.Sleep(10 * time.Second)
		if beats := coordination.sentBeats(); len(beats[len(beats)-1].GetLeases()) != 2 {
			t.Error("an abandoned lease is beaten no longer:", beats)
		}
		client.end()
	})
}

func TestTheWatchdogCountsFromTheSendingOfTheLastAcceptedHeartbeat(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		coordination := &fakeCoordination{}
		beats := 0
		coordination.beat = func(ctx context.Context, request *v1.HeartbeatRequest) (*v1.HeartbeatResponse, error) {
			if beats++; beats > 1 {
				<-ctx.Done() // The server answers no longer.
				return nil, ctx.Err()
			}
			time.Sleep(4 * time.Second)
			return held(ctx, request)
		}
		began := time.Now()
		client := newTestClient(t, nil, coordination)
		work := take(client, "a")[0]
		<-work.Lost()
		// The first heartbeat was sent after 10 seconds, and extended the lease by 30 seconds from then.
		if lasted := time.Since(began); lasted != 40*time.Second {
			t.Error(lasted)
		}
		if !errors.Is(work.Err(), ErrLeaseLost) || work.LostReason() == "" {
			t.Error(work.Err())
		}
		client.end()
	})
}

func TestAFailedHeartbeatIsSentAgainSoon(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		coordination := &fakeCoordination{}
		coordination.beat = func(ctx context.Context, request *v1.HeartbeatRequest) (*v1.HeartbeatResponse, error) {
			switch coordination.beatCount() {
			case 1:
				return nil, unavailable()
			case 2:
				return &v1.HeartbeatResponse{}, nil // An answer that lacks the lease is a failure, too.
			default:
				return held(ctx, request)
			}
		}
		client := newTestClient(t, nil, coordination)
		work := take(client, "a")[0]
		time.Sleep(13*time.Second + time.Millisecond)
		synctest.Wait()
		if coordination.beatCount() != 3 || work.Err() != nil {
			t.Error(coordination.beatCount(), work.Err())
		}
		client.end()
	})
}

func TestALeaseThatTheServerCallsLostIsLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		coordination := &fakeCoordination{}
		coordination.beat = func(_ context.Context, request *v1.HeartbeatRequest) (*v1.HeartbeatResponse, error) {
			return states(request, v1.LeaseStatus_LEASE_STATUS_LOST), nil
		}
		client := newTestClient(t, nil, coordination)
		work := take(client, "a")[0]
		began := time.Now()
		<-work.Lost()
		if time.Since(began) != 10*time.Second || !errors.Is(work.Err(), ErrLeaseLost) {
			t.Error(time.Since(began), work.Err())
		}
		if _, err := work.Finish(t.Context(), "done"); !errors.Is(err, ErrLeaseLost) || len(coordination.releases) != 0 {
			t.Error(err, coordination.releases)
		}
		if err := work.Update(t.Context(), &v1.Task{Title: "x"}); !errors.Is(err, ErrLeaseLost) {
			t.Error(err)
		}
		client.end()
	})
}

func TestTheDeadlineOfAnAttemptShortensItsLease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		coordination := &fakeCoordination{}
		coordination.beat = func(ctx context.Context, request *v1.HeartbeatRequest) (*v1.HeartbeatResponse, error) {
			response, err := held(ctx, request)
			response.Leases[0].TimeLeft = durationpb.New(3 * time.Second)
			return response, err
		}
		client := newTestClient(t, nil, coordination)
		take(client, "a")
		time.Sleep(12*time.Second + time.Millisecond)
		if beats := coordination.beatCount(); beats != 3 {
			t.Errorf("%d heartbeats", beats)
		}
		client.end()
	})
}

func TestDirectivesUsageAndBudgetsTravelWithHeartbeats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		coordination := &fakeCoordination{}
		left := int64(5)
		coordination.beat = func(ctx context.Context, request *v1.HeartbeatRequest) (*v1.HeartbeatResponse, error) {
			response, err := held(ctx, request)
			response.Leases[0].Directive = v1.Directive_DIRECTIVE_PAUSE
			response.Leases[0].Reason = "lunch"
			response.Leases[0].BudgetLeft = &v1.Budget{Tokens: &left}
			return response, err
		}
		client := newTestClient(t, nil, coordination)
		work := take(client, "a")[0]
		work.Report(&v1.Usage{ToolCalls: 3})
		time.Sleep(10 * time.Second)
		synctest.Wait()
		directive, reason := work.Directive()
		if directive != v1.Directive_DIRECTIVE_PAUSE || reason != "lunch" || work.BudgetLeft().GetTokens() != 5 {
			t.Error(directive, reason, work.BudgetLeft())
		}
		if usage := coordination.sentBeats()[0].GetLeases()[0].GetUsage(); usage.GetToolCalls() != 3 {
			t.Error(usage)
		}
		client.end()
	})
}

func TestAClosedClientGivesUpItsLeases(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := newTestClient(t, nil, &fakeCoordination{})
		work := take(client, "a")[0]
		client.end()
		client.keeper.loseAll("closed")
		<-work.Lost()
		if err := work.Err(); !errors.Is(err, ErrLeaseLost) || !errors.Is(err, ErrClosed) {
			t.Error(err)
		}
		late := take(client, "b")[0]
		<-late.Lost()
	})
}

func TestALeaseIsLostInTimeEvenIfTheKeeperIsLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := newTestClient(t, nil, &fakeCoordination{})
		client.keeper.start.Do(func() {}) // As after SIGSTOP, the keeper has not run yet.
		work := take(client, "a")[0]
		time.Sleep(29 * time.Second)
		if err := work.Err(); err != nil {
			t.Error(err)
		}
		time.Sleep(time.Second)
		if err := work.Err(); !errors.Is(err, ErrLeaseLost) {
			t.Error(err)
		}
		client.end()
	})
}
