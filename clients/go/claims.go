package orchestration

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	v1 "github.com/orchestration-ledger/orchestration/clients/go/orchestrationv1"
)

const (
	// claimAnswerTime is the time that a claim has beyond its wait.
	claimAnswerTime = 10 * time.Second
	// sureTime is the longest time of a claim that is taken off its lease without asking the server.
	sureTime = time.Second
	// longestWait is the longest wait of one claim.
	longestWait = time.Minute
	// lookAgain is the time between two looks for a task that a loop has not given back.
	lookAgain = 5 * time.Second
	// claimRetryTime is how long a loop sends a claim again that the server is too busy for.
	claimRetryTime = time.Minute
)

// Claim claims the task that the request names, or the next ready one that matches, and keeps its lease by heartbeats. The
// error is [ErrNoWork] if no task was ready in time.
func (c *Client) Claim(ctx context.Context, request *v1.ClaimTaskRequest) (*Work, error) {
	if request.GetCount() > 1 {
		return nil, invalid("Claim claims one task, not %d: use ClaimMany", request.GetCount())
	}
	works, err := c.ClaimMany(ctx, request)
	if err != nil {
		return nil, err
	}
	if len(works) == 0 {
		return nil, ErrNoWork
	}
	return works[0], nil
}

// ClaimMany claims up to count ready tasks in one call, and keeps their leases by heartbeats. It returns no work if no task
// was ready in time.
func (c *Client) ClaimMany(ctx context.Context, request *v1.ClaimTaskRequest) ([]*Work, error) {
	limited, cancel := context.WithTimeout(ctx, request.GetWait().AsDuration()+claimAnswerTime)
	defer cancel()
	sentAt := time.Now()
	answer, err := c.Coordination.ClaimTask(limited, request)
	if err != nil {
		return nil, err
	}
	states := make([]*v1.LeaseState, len(answer.GetClaims()))
	if len(states) > 0 && time.Since(sentAt) > sureTime {
		sentAt = c.confirm(ctx, answer.GetClaims(), states, sentAt)
	}
	works := make([]*Work, 0, len(states))
	for index, claimed := range answer.GetClaims() {
		works = append(works, newWork(c, claimed, sentAt, states[index]))
	}
	return works, nil
}

// confirm sends a heartbeat of leases that began at an unknown moment of a long claim, fills in their states, and returns
// when it was sent. If it fails, the states stay nil, and the leases count from the sending of the claim.
func (c *Client) confirm(
	ctx context.Context, claims []*v1.ClaimedTask, states []*v1.LeaseState, claimedAt time.Time,
) time.Time {
	request := &v1.HeartbeatRequest{}
	for _, claimed := range claims {
		request.Leases = append(request.Leases, &v1.LeaseRef{
			TaskCode: claimed.GetLease().GetTaskCode(), Fence: claimed.GetLease().GetFence()})
	}
	limited, cancel := context.WithTimeout(ctx, longestBeat)
	defer cancel()
	sentAt := time.Now()
	answer, err := c.Coordination.Heartbeat(limited, request)
	if err == nil && len(answer.GetLeases()) != len(claims) {
		err = fmt.Errorf("%d leases in the answer to a heartbeat of %d", len(answer.GetLeases()), len(claims))
	}
	if err != nil {
		c.log.Warn("orchestration: the first heartbeat of a claim failed", "leases", len(claims), "error", err)
		return claimedAt
	}
	copy(states, answer.GetLeases())
	return sentAt
}

// Claims returns an iterator that claims the next ready task that matches at each step, until none is ready. The wait of
// the request is how long each step waits for a task, and may be longer than a minute; the loop also ends with ctx.
//
// Work that has not ended when its turn of the loop ends is given back, with a warning in the log, or has failed if the loop
// panicked; [Work.Run] ends it by the error of a function. The loop does not claim again what it gave back: other agents
// may have it. If the server is too busy for a claim, the loop waits as long as it says, for up to a minute.
func (c *Client) Claims(ctx context.Context, request *v1.ClaimTaskRequest) iter.Seq2[*Work, error] {
	given := proto.CloneOf(request)
	return func(yield func(*Work, error) bool) {
		loop := claimLoop{client: c, request: given, givenBack: make(map[string]bool)}
		if given.GetTaskCode() != "" || given.GetCount() > 1 || given.GetRequestId() != "" {
			yield(nil, invalid("a loop of claims takes one ready task after another: leave out task_code, count and request_id"))
			return
		}
		for {
			work, err := loop.next(ctx)
			if errors.Is(err, ErrNoWork) {
				return
			}
			if err != nil {
				yield(nil, err)
				return
			}
			if !loop.visit(ctx, work, yield) {
				return
			}
		}
	}
}

type claimLoop struct {
	client    *Client
	request   *v1.ClaimTaskRequest
	givenBack map[string]bool
}

// visit runs the body of the loop. It returns false if the body left the loop.
func (l *claimLoop) visit(ctx context.Context, work *Work, yield func(*Work, error) bool) bool {
	returned := false
	defer func() {
		if !returned {
			_ = work.leave(ctx, errors.New("the loop panicked"))
		}
	}()
	more := yield(work, nil)
	returned = true
	if !work.Ended() {
		const reason = "the turn of the loop ended before the work"
		l.client.log.Warn("orchestration: "+reason+": it is given back", "task", work.Code())
		release, cancel := context.WithTimeout(context.WithoutCancel(ctx), releaseTime)
		defer cancel()
		if _, err := work.Return(release, reason); err != nil {
			work.Abandon()
			l.client.log.Warn("orchestration: a task was not released", "task", work.Code(), "error", err)
		}
	}
	if work.Outcome() == v1.AttemptOutcome_ATTEMPT_OUTCOME_RETURNED {
		l.givenBack[work.Code()] = true
	}
	return more
}

func (l *claimLoop) next(ctx context.Context) (*Work, error) {
	deadline := time.Now().Add(l.request.GetWait().AsDuration())
	for {
		left := max(0, time.Until(deadline))
		work, err := l.claim(ctx, left)
		if !errors.Is(err, ErrNoWork) || !time.Now().Before(deadline) {
			return work, err
		}
	}
}

func (l *claimLoop) claim(ctx context.Context, left time.Duration) (*Work, error) {
	request := proto.CloneOf(l.request)
	request.Wait = nil
	if len(l.givenBack) == 0 {
		if left > 0 {
			request.Wait = durationpb.New(min(left, longestWait))
		}
		return l.patiently(ctx, request)
	}
	work, err := l.other(ctx, request)
	if errors.Is(err, ErrNoWork) && left > 0 {
		if ended := sleep(ctx, min(left, lookAgain)); ended != nil {
			return nil, ended
		}
	}
	return work, err
}

// patiently claims, and sends the same claim again while the server is too busy for it and says for how long.
func (l *claimLoop) patiently(ctx context.Context, request *v1.ClaimTaskRequest) (*Work, error) {
	request.RequestId = NewRequestID()
	for began := time.Now(); ; {
		work, err := l.client.Claim(ctx, request)
		var refused *Error
		busy := errors.As(err, &refused) && refused.Code == codes.ResourceExhausted && refused.Retryable
		if !busy || time.Since(began) >= claimRetryTime {
			return work, err
		}
		if ended := sleep(ctx, max(refused.RetryDelay, initialBackoff)); ended != nil {
			return nil, ended
		}
	}
}

// other claims the next ready task that this loop has not given back, by its code. A claim has no filter for that: it would
// get the same task again and again.
func (l *claimLoop) other(ctx context.Context, request *v1.ClaimTaskRequest) (*Work, error) {
	ready := &v1.ListReadyTasksRequest{SprintCode: request.GetSprintCode(), PageSize: 500}
	for task, err := range l.client.ListReadyTasks(ctx, ready) {
		if err != nil {
			return nil, err
		}
		if l.givenBack[task.GetCode()] || !matches(task, request) {
			continue
		}
		named := proto.CloneOf(request)
		named.TaskCode, named.SprintCode, named.Labels, named.Priorities = task.GetCode(), "", nil, nil
		work, err := l.patiently(ctx, named)
		if err == nil || !taken(err) {
			return work, err
		}
	}
	return nil, ErrNoWork
}

// taken returns true if a claim failed because the task is no longer ready.
func taken(err error) bool {
	var refused *Error
	return errors.As(err, &refused) &&
		slices.Contains([]string{"TASK_HELD", "TASK_NOT_READY", "NOT_FOUND"}, refused.Reason)
}

// matches returns true if a claim with the filters of the request takes the task.
func matches(task *v1.Task, request *v1.ClaimTaskRequest) bool {
	return containsAll(task.GetLabels(), request.GetLabels()) &&
		(len(request.GetPriorities()) == 0 || slices.Contains(request.GetPriorities(), task.GetPriority())) &&
		containsAll(request.GetCapabilities(), task.GetCapabilities())
}

func containsAll(all, some []string) bool {
	return !slices.ContainsFunc(some, func(name string) bool { return !slices.Contains(all, name) })
}
