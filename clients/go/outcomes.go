package orchestration

import (
	"context"
	"unicode/utf8"

	"google.golang.org/protobuf/proto"

	v1 "github.com/orchestration-ledger/orchestration/clients/go/orchestrationv1"
)

// An EndOption adds to the end of an attempt.
type EndOption func(*v1.ReleaseTaskRequest)

// WithUsage tells what the attempt used. Without it, what was reported last stands.
func WithUsage(usage *v1.Usage) EndOption {
	return func(request *v1.ReleaseTaskRequest) { request.Usage = usage }
}

// WithArtifacts tells what the attempt produced.
func WithArtifacts(artifacts ...*v1.Artifact) EndOption {
	return func(request *v1.ReleaseTaskRequest) { request.Artifacts = artifacts }
}

// NotRetryable says that another try cannot succeed: a failed task is then blocked.
func NotRetryable() EndOption {
	return func(request *v1.ReleaseTaskRequest) { request.NotRetryable = true }
}

// Finish completes the task. The summary has up to 2,000 characters.
func (w *Work) Finish(ctx context.Context, summary string, options ...EndOption) (*v1.Attempt, error) {
	return w.end(ctx, v1.AttemptOutcome_ATTEMPT_OUTCOME_COMPLETED, summary, options)
}

// Fail ends the attempt as failed. The retry policy of the task decides what follows.
func (w *Work) Fail(ctx context.Context, reason string, options ...EndOption) (*v1.Attempt, error) {
	return w.end(ctx, v1.AttemptOutcome_ATTEMPT_OUTCOME_FAILED, reason, options)
}

// Return gives the task back without a fault of the task, which is ready again at once.
func (w *Work) Return(ctx context.Context, reason string, options ...EndOption) (*v1.Attempt, error) {
	return w.end(ctx, v1.AttemptOutcome_ATTEMPT_OUTCOME_RETURNED, reason, options)
}

// Block ends the attempt because the task cannot continue for now, and blocks the task. The reason is required.
func (w *Work) Block(ctx context.Context, reason string, options ...EndOption) (*v1.Attempt, error) {
	return w.end(ctx, v1.AttemptOutcome_ATTEMPT_OUTCOME_BLOCKED, reason, options)
}

// end releases the task. If that fails, the work goes on and may be ended again: the same end is sent under the same
// request_id, because the one that failed may have taken effect.
func (w *Work) end(
	ctx context.Context, outcome v1.AttemptOutcome, reason string, options []EndOption,
) (*v1.Attempt, error) {
	if length := utf8.RuneCountInString(reason); length > maxReason {
		return nil, invalid("%d characters are too many: a reason or summary has up to %d", length, maxReason)
	}
	request := &v1.ReleaseTaskRequest{TaskCode: w.Code(), Fence: w.Fence(), Outcome: outcome, Reason: reason}
	for _, option := range options {
		option(request)
	}
	if !w.sameRelease(request) {
		if err := w.Err(); err != nil {
			return nil, err
		}
		w.remember(request)
	}
	w.client.keeper.setEnding(w.kept, true)
	answer, err := w.client.Coordination.ReleaseTask(ctx, request)
	if err != nil {
		w.client.keeper.setEnding(w.kept, false)
		return nil, err
	}
	w.client.keeper.drop(w.kept)
	w.lock.Lock()
	defer w.lock.Unlock()
	w.outcome, w.task = outcome, answer.GetTask()
	return answer.GetAttempt(), nil
}

// sameRelease gives the request the id of the last release if that had the same content, or else one of its own. It
// returns true for the same one, which is sent even after the loss of the lease: the last one may have ended it.
func (w *Work) sameRelease(request *v1.ReleaseTaskRequest) (same bool) {
	w.lock.Lock()
	defer w.lock.Unlock()
	request.RequestId = w.release.GetRequestId()
	if w.release != nil && proto.Equal(request, w.release) {
		return true
	}
	request.RequestId = NewRequestID()
	return false
}

func (w *Work) remember(release *v1.ReleaseTaskRequest) {
	w.lock.Lock()
	defer w.lock.Unlock()
	w.release = proto.CloneOf(release)
}
