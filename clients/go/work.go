package orchestration

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
	"unicode/utf8"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/fieldmaskpb"

	v1 "github.com/orchestration-ledger/orchestration/clients/go/orchestrationv1"
)

// maxReason is the most characters of the reason of an attempt.
const maxReason = 2_000

// releaseTime is the deadline of the release of a task whose caller has gone.
const releaseTime = 10 * time.Second

// Work is a claimed task. The client keeps its lease by heartbeats until the work ends or the lease is lost, and sends the
// fence with each write. Any goroutine may call its methods.
type Work struct {
	client  *Client
	kept    *keptLease
	session string
	lost    chan struct{}
	context *v1.Context

	lock            sync.Mutex // guards the following
	task            *v1.Task
	release         *v1.ReleaseTaskRequest // the last that was sent
	outcome         v1.AttemptOutcome
	lostReason      string
	directive       v1.Directive
	directiveReason string
	budgetLeft      *v1.Budget
}

// newWork keeps the lease of a claimed task. sentAt is when the claim was sent, or the heartbeat whose answer is state,
// which may be nil.
func newWork(client *Client, claimed *v1.ClaimedTask, sentAt time.Time, state *v1.LeaseState) *Work {
	work := &Work{
		client:    client,
		session:   client.session,
		lost:      make(chan struct{}),
		task:      claimed.GetTask(),
		context:   claimed.GetContext(),
		directive: v1.Directive_DIRECTIVE_CONTINUE,
	}
	lease := claimed.GetLease()
	lasts := lease.GetExpireTime().AsTime().Sub(lease.GetStartTime().AsTime())
	if state != nil {
		lasts = state.GetTimeLeft().AsDuration()
	}
	work.kept = &keptLease{
		lease:      lease,
		validUntil: sentAt.Add(min(lease.GetDuration().AsDuration(), lasts)),
		lost:       work.lose,
		directed:   work.direct,
	}
	if state != nil && state.GetStatus() != v1.LeaseStatus_LEASE_STATUS_HELD {
		work.lose(hasEnded)
		return work
	}
	client.keeper.keep(work.kept)
	return work
}

// Code returns the code of the task.
func (w *Work) Code() string { return w.kept.lease.GetTaskCode() }

// Fence returns the fence of the lease, for systems outside the ledger that can refuse an older one.
func (w *Work) Fence() int64 { return w.kept.lease.GetFence() }

// Lease returns the lease, as the claim returned it.
func (w *Work) Lease() *v1.Lease { return w.kept.lease }

// AssembledContext returns the context of the task, if the claim asked for it.
func (w *Work) AssembledContext() *v1.Context { return w.context }

// Task returns the task, as the last answer has it.
func (w *Work) Task() *v1.Task {
	w.lock.Lock()
	defer w.lock.Unlock()
	return w.task
}

// Outcome returns how this client ended the attempt. It is unspecified while it has not.
func (w *Work) Outcome() v1.AttemptOutcome {
	w.lock.Lock()
	defer w.lock.Unlock()
	return w.outcome
}

// Ended returns true if the work has ended: by Finish or another end, or by the loss of the lease.
func (w *Work) Ended() bool {
	return w.Outcome() != v1.AttemptOutcome_ATTEMPT_OUTCOME_UNSPECIFIED || w.Err() != nil
}

// LostReason returns why the lease is lost. It is empty while it is held.
func (w *Work) LostReason() string {
	w.lock.Lock()
	defer w.lock.Unlock()
	return w.lostReason
}

// Directive returns what the last heartbeat asks the holder to do, and why and by whom.
func (w *Work) Directive() (directive v1.Directive, reason string) {
	w.lock.Lock()
	defer w.lock.Unlock()
	return w.directive, w.directiveReason
}

// BudgetLeft returns what is left of the budget of the task, by the last heartbeat. It is nil if the task has none.
func (w *Work) BudgetLeft() *v1.Budget {
	w.lock.Lock()
	defer w.lock.Unlock()
	return w.budgetLeft
}

// Lost returns a channel that is closed when the lease is lost: another agent may have the task then.
func (w *Work) Lost() <-chan struct{} { return w.lost }

// Err returns nil while the lease is held, and after the client ended the attempt. Otherwise it returns an error that wraps
// [ErrLeaseLost]. Call it before an effect outside the ledger.
func (w *Work) Err() error {
	w.client.keeper.expire() // The keeper may be late, such as after SIGSTOP.
	w.lock.Lock()
	defer w.lock.Unlock()
	if w.lostReason == "" || w.outcome != v1.AttemptOutcome_ATTEMPT_OUTCOME_UNSPECIFIED {
		return nil
	}
	if w.client.life.Err() != nil {
		return fmt.Errorf("%w: task %s: %w", ErrLeaseLost, w.Code(), ErrClosed)
	}
	return fmt.Errorf("%w: task %s: %s", ErrLeaseLost, w.Code(), w.lostReason)
}

// Context returns a copy of ctx that ends when the lease is lost, with the error of Err as its cause.
func (w *Work) Context(ctx context.Context) (context.Context, context.CancelFunc) {
	held, cancel := context.WithCancelCause(ctx)
	go func() {
		select {
		case <-w.lost:
			cancel(w.Err())
		case <-held.Done():
		}
	}()
	return held, func() { cancel(nil) }
}

// Run calls do, with a context that ends when the lease is lost, and ends the attempt if do did not. If do returns an error
// or panics, the attempt has failed; without an error, or if ctx ended, the task is given back. Run returns the error of
// do, or else that of the release, or [ErrLeaseLost].
func (w *Work) Run(ctx context.Context, do func(ctx context.Context) error) error {
	held, cancel := w.Context(ctx)
	defer cancel()
	returned := false
	defer func() {
		if !returned {
			_ = w.leave(ctx, errors.New("the function panicked"))
		}
	}()
	err := do(held)
	returned = true
	return w.leave(ctx, err)
}

// leave ends the attempt after a function that returned err, if it has not ended.
func (w *Work) leave(ctx context.Context, err error) error {
	defer w.Abandon()
	if lost := w.Err(); lost != nil && err == nil {
		return lost
	}
	if w.Ended() {
		return err
	}
	outcome, reason := v1.AttemptOutcome_ATTEMPT_OUTCOME_FAILED, ""
	switch {
	case err == nil:
		outcome, reason = v1.AttemptOutcome_ATTEMPT_OUTCOME_RETURNED, "the function ended without an outcome"
	case ctx.Err() != nil:
		outcome, reason = v1.AttemptOutcome_ATTEMPT_OUTCOME_RETURNED, err.Error()
	default:
		reason = err.Error()
	}
	release, cancel := context.WithTimeout(context.WithoutCancel(ctx), releaseTime)
	defer cancel()
	if _, refused := w.end(release, outcome, shorten(reason), nil); refused != nil {
		if err == nil {
			return refused
		}
		w.client.log.Warn("orchestration: a task was not released", "task", w.Code(), "error", refused)
	}
	return err
}

func shorten(reason string) string {
	if utf8.RuneCountInString(reason) <= maxReason {
		return reason
	}
	return string([]rune(reason)[:maxReason-1]) + "…"
}

// Report makes each heartbeat from now on report what the attempt has used since its start. The ledger keeps it if the
// attempt ends without another report. If the budget of the task is used up, the directive becomes CANCEL.
func (w *Work) Report(usage *v1.Usage) {
	w.client.keeper.report(w.kept, proto.CloneOf(usage))
}

// Abandon ends the heartbeats without telling the ledger. The lease expires by itself.
func (w *Work) Abandon() {
	w.client.keeper.drop(w.kept)
}

// Update changes fields of the task, with the fence. paths names the fields, in snake case; without paths, those are changed
// that are set in task. Task returns the task afterwards.
func (w *Work) Update(ctx context.Context, task *v1.Task, paths ...string) error {
	if err := w.Err(); err != nil {
		return err
	}
	changed := proto.CloneOf(task)
	changed.Code = w.Code()
	if len(paths) == 0 {
		paths = setFields(task)
	}
	answer, err := w.client.Tasks.UpdateTask(ctx, &v1.UpdateTaskRequest{
		Task: changed, UpdateMask: &fieldmaskpb.FieldMask{Paths: paths}, Fence: w.Fence(),
	})
	if err != nil {
		return err
	}
	w.lock.Lock()
	defer w.lock.Unlock()
	w.task = answer.GetTask()
	return nil
}

// setFields returns the names of the fields of a task that are set, except its code.
func setFields(task *v1.Task) []string {
	var names []string
	fields := task.ProtoReflect().Descriptor().Fields()
	for index := range fields.Len() {
		if field := fields.Get(index); field.Name() != "code" && has(task, field) {
			names = append(names, string(field.Name()))
		}
	}
	return names
}

func has(message proto.Message, field protoreflect.FieldDescriptor) bool {
	return message.ProtoReflect().Has(field)
}

func (w *Work) lose(reason string) {
	w.lock.Lock()
	w.lostReason = reason
	w.lock.Unlock()
	close(w.lost)
}

func (w *Work) direct(directive v1.Directive, reason string, budget *v1.Budget) {
	w.lock.Lock()
	defer w.lock.Unlock()
	w.directive, w.directiveReason, w.budgetLeft = directive, reason, budget
}
