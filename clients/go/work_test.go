package orchestration

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/durationpb"

	v1 "github.com/orchestration-ledger/orchestration/clients/go/orchestrationv1"
)

func TestTheEndOfAFunctionEndsTheAttempt(t *testing.T) {
	broken := errors.New("broken")
	for name, each := range map[string]struct {
		do      func(*Work) error
		outcome v1.AttemptOutcome
		reason  string
	}{
		"finished": {func(w *Work) error { _, err := w.Finish(context.Background(), "ok"); return err }, v1.AttemptOutcome_ATTEMPT_OUTCOME_COMPLETED, "ok"},
		"blocked":  {func(w *Work) error { _, err := w.Block(context.Background(), "x"); return err }, v1.AttemptOutcome_ATTEMPT_OUTCOME_BLOCKED, "x"},
		"failed":   {func(*Work) error { return broken }, v1.AttemptOutcome_ATTEMPT_OUTCOME_FAILED, "broken"},
		"ended":    {func(*Work) error { return nil }, v1.AttemptOutcome_ATTEMPT_OUTCOME_RETURNED, "the function ended without an outcome"},
		"panicked": {func(*Work) error { panic("no") }, v1.AttemptOutcome_ATTEMPT_OUTCOME_FAILED, "the function panicked"},
	} {
		t.Run(name, func(t *testing.T) {
			coordination := &fakeCoordination{}
			work := take(newTestClient(t, nil, coordination), "a")[0]
			func() {
				defer func() { _ = recover() }()
				err := work.Run(t.Context(), func(context.Context) error { return each.do(work) })
				if name == "failed" != (err == broken) {
					t.Error(err)
				}
			}()
			if len(coordination.releases) != 1 {
				t.Fatal(coordination.releases)
			}
			release := coordination.releases[0]
			if release.GetOutcome() != each.outcome || release.GetReason() != each.reason || release.GetFence() != 7 {
				t.Error(release)
			}
		})
	}
}

func TestWorkWhoseContextEndsIsGivenBack(t *testing.T) {
	coordination := &fakeCoordination{}
	work := take(newTestClient(t, nil, coordination), "a")[0]
	ctx, cancel := context.WithCancel(t.Context())
	err := work.Run(ctx, func(ctx context.Context) error {
		cancel()
		<-ctx.Done()
		return ctx.Err()
	})
	if !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if outcome := work.Outcome(); outcome != v1.AttemptOutcome_ATTEMPT_OUTCOME_RETURNED {
		t.Error(outcome)
	}
}

func TestALostLeaseEndsTheContextOfTheWork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		coordination := &fakeCoordination{}
		coordination.beat = func(_ context.Context, request *v1.HeartbeatRequest) (*v1.HeartbeatResponse, error) {
			return states(request, v1.LeaseStatus_LEASE_STATUS_LOST), nil
		}
		client := newTestClient(t, nil, coordination)
		work := take(client, "a")[0]
		err := work.Run(t.Context(), func(ctx context.Context) error {
			<-ctx.Done()
			if !errors.Is(context.Cause(ctx), ErrLeaseLost) {
				t.Error(context.Cause(ctx))
			}
			return nil
		})
		if !errors.Is(err, ErrLeaseLost) || len(coordination.releases) != 0 {
			t.Error(err, coordination.releases)
		}
		client.end()
	})
}

func TestAHeartbeatDuringTheReleaseDoesNotLoseTheLease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		coordination := &fakeCoordination{}
		coordination.beat = func(_ context.Context, request *v1.HeartbeatRequest) (*v1.HeartbeatResponse, error) {
			return states(request, v1.LeaseStatus_LEASE_STATUS_LOST), nil
		}
		client := newTestClient(t, nil, coordination)
		work := take(client, "a")[0]
		client.Coordination = slowRelease{coordination}
		if _, err := work.Finish(t.Context(), "done"); err != nil {
			t.Error(err)
		}
		select {
		case <-work.Lost():
			t.Error("the client released the lease itself")
		default:
		}
		if coordination.beatCount() == 0 {
			t.Error("the release was too quick for a heartbeat")
		}
		client.end()
	})
}

// slowRelease answers a release after 15 seconds, during which a heartbeat is due.
type slowRelease struct{ *fakeCoordination }

func (s slowRelease) ReleaseTask(
	ctx context.Context, request *v1.ReleaseTaskRequest, options ...grpc.CallOption,
) (*v1.ReleaseTaskResponse, error) {
	time.Sleep(15 * time.Second)
	return s.fakeCoordination.ReleaseTask(ctx, request, options...)
}

func TestAFailedReleaseIsRepeatedUnderItsID(t *testing.T) {
	coordination := &fakeCoordination{}
	failures := 2
	coordination.release = func(*v1.ReleaseTaskRequest) error {
		if failures--; failures >= 0 {
			return unavailable()
		}
		return nil
	}
	work := take(newTestClient(t, nil, coordination), "a")[0]
	for range 2 {
		if _, err := work.Finish(t.Context(), "done"); err == nil || work.Ended() {
			t.Error(err)
		}
	}
	usage := &v1.Usage{ToolCalls: 2}
	_, err := work.Finish(t.Context(), "done", WithUsage(usage), WithArtifacts(&v1.Artifact{Name: "a"}))
	if err != nil || !work.Ended() {
		t.Error(err)
	}
	first, same, other := coordination.releases[0], coordination.releases[1], coordination.releases[2]
	if first.GetRequestId() == "" || same.GetRequestId() != first.GetRequestId() || other.GetRequestId() == first.GetRequestId() {
		t.Error("the same end has the same id, another end another:", coordination.releases)
	}
	if other.GetUsage().GetToolCalls() != 2 || len(other.GetArtifacts()) != 1 {
		t.Error(other)
	}
}

func TestReasonsAreNotCutInSilence(t *testing.T) {
	coordination := &fakeCoordination{}
	work := take(newTestClient(t, nil, coordination), "a")[0]
	long := strings.Repeat("ß", maxReason+1)
	if _, err := work.Fail(t.Context(), long, NotRetryable()); !errors.Is(err, ErrInvalid) || len(coordination.releases) != 0 {
		t.Error(err)
	}
	_ = work.Run(t.Context(), func(context.Context) error { return errors.New(long) })
	if reason := coordination.releases[0].GetReason(); len([]rune(reason)) != maxReason || !strings.HasSuffix(reason, "…") {
		t.Error(reason)
	}
}

// fakeTasks records updates.
type fakeTasks struct {
	v1.TaskServiceClient
	updates []*v1.UpdateTaskRequest
}

func (f *fakeTasks) UpdateTask(
	_ context.Context, request *v1.UpdateTaskRequest, _ ...grpc.CallOption,
) (*v1.UpdateTaskResponse, error) {
	f.updates = append(f.updates, request)
	return &v1.UpdateTaskResponse{Task: request.GetTask()}, nil
}

func TestAnUpdateHasTheFenceAndTheFieldsThatAreSet(t *testing.T) {
	client := newTestClient(t, nil, &fakeCoordination{})
	tasks := &fakeTasks{}
	client.Tasks = tasks
	work := take(client, "a")[0]
	for _, err := range []error{
		work.Update(t.Context(), &v1.Task{Title: "x", Labels: []string{"l"}}),
		work.Update(t.Context(), &v1.Task{Code: "other"}, "title", "due_time"),
	} {
		if err != nil {
			t.Error(err)
		}
	}
	for index, paths := range [][]string{{"title", "labels"}, {"title", "due_time"}} {
		request := tasks.updates[index]
		if request.GetFence() != 7 || request.GetTask().GetCode() != "a" || !slices.Equal(request.GetUpdateMask().GetPaths(), paths) {
			t.Error(request)
		}
	}
	if work.Task().GetCode() != "a" {
		t.Error(work.Task())
	}
}

// fakeLog records logged events.
type fakeLog struct {
	v1.EventServiceClient
	v1.SessionServiceClient
	events     []*v1.NewEvent
	activities []*v1.LogActivityRequest
}

func (f *fakeLog) EmitEvent(
	_ context.Context, request *v1.EmitEventRequest, _ ...grpc.CallOption,
) (*v1.EmitEventResponse, error) {
	f.events = append(f.events, request.GetEvent())
	return &v1.EmitEventResponse{}, nil
}

func (f *fakeLog) LogActivity(
	_ context.Context, request *v1.LogActivityRequest, _ ...grpc.CallOption,
) (*v1.LogActivityResponse, error) {
	f.activities = append(f.activities, request)
	return &v1.LogActivityResponse{}, nil
}

func TestALogIsAnEventOrAnActivityOfTheSession(t *testing.T) {
	log := &fakeLog{}
	client := newTestClient(t, log, &fakeCoordination{})
	client.Sessions = log
	work := take(client, "a")[0]
	if err := work.Log(t.Context(), "half done", "files", 3, "of", []any{"x"}); err != nil {
		t.Fatal(err)
	}
	event := log.events[0]
	payload := event.GetPayload().AsMap()
	if event.GetType() != LoggedType || event.GetEntityCode() != "a" || payload["fence"] != "7" || payload["kind"] != "note" ||
		payload["message"] != "half done" || payload["payload"].(map[string]any)["files"] != 3.0 {
		t.Error(event)
	}
	client.session = "s"
	work = take(client, "b")[0]
	if err := work.LogKind(t.Context(), "decision", "use a trie"); err != nil {
		t.Fatal(err)
	}
	if activity := log.activities[0]; activity.GetSessionKey() != "s" || activity.GetKind() != "decision" || activity.GetPayload() != nil {
		t.Error(activity)
	}
	for _, fields := range [][]any{{"odd"}, {1, 2}, {"n", int64(1) << 53}, {"n", map[string]any{"m": []any{uint64(1) << 60}}}, {"c", make(chan int)}} {
		if err := work.Log(t.Context(), "no", fields...); !errors.Is(err, ErrInvalid) {
			t.Errorf("%v: %v", fields, err)
		}
	}
}

// claimsOf answers claims with the given tasks, one a call, and then with none.
func claimsOf(codes ...string) func(*v1.ClaimTaskRequest) (*v1.ClaimTaskResponse, error) {
	return func(request *v1.ClaimTaskRequest) (*v1.ClaimTaskResponse, error) {
		if request.GetTaskCode() != "" {
			return &v1.ClaimTaskResponse{Claims: []*v1.ClaimedTask{claimed(request.GetTaskCode())}}, nil
		}
		if len(codes) == 0 {
			return &v1.ClaimTaskResponse{}, nil
		}
		code := codes[0]
		codes = codes[1:]
		return &v1.ClaimTaskResponse{Claims: []*v1.ClaimedTask{claimed(code)}}, nil
	}
}

func TestALoopClaimsUntilNothingIsReady(t *testing.T) {
	coordination := &fakeCoordination{claim: claimsOf("a", "b")}
	client := newTestClient(t, nil, coordination)
	var codes []string
	for work, err := range client.Claims(t.Context(), &v1.ClaimTaskRequest{SprintCode: "S"}) {
		if err != nil {
			t.Fatal(err)
		}
		codes = append(codes, work.Code())
		if _, err := work.Finish(t.Context(), ""); err != nil {
			t.Fatal(err)
		}
	}
	if !slices.Equal(codes, []string{"a", "b"}) || len(coordination.claims) != 3 {
		t.Error(codes, coordination.claims)
	}
	if coordination.claims[0].GetRequestId() == "" || coordination.claims[0].GetRequestId() == coordination.claims[1].GetRequestId() {
		t.Error("each claim has an id of its own")
	}
}

func TestALoopDoesNotClaimAgainWhatItGaveBack(t *testing.T) {
	coordination := &fakeCoordination{claim: claimsOf("a"), ready: []*v1.Task{
		{Code: "a", Labels: []string{"l"}}, {Code: "other"}, {Code: "b", Labels: []string{"l", "m"}},
	}}
	client := newTestClient(t, nil, coordination)
	var codes []string
	for work, err := range client.Claims(t.Context(), &v1.ClaimTaskRequest{Labels: []string{"l"}}) {
		if err != nil {
			t.Fatal(err)
		}
		codes = append(codes, work.Code()) // The work has not ended, so the loop gives it back.
		if len(codes) == 2 {
			coordination.ready = coordination.ready[:2]
		}
	}
	if !slices.Equal(codes, []string{"a", "b"}) || len(coordination.releases) != 2 {
		t.Error(codes, coordination.releases)
	}
	if last := coordination.claims[1]; last.GetTaskCode() != "b" || last.GetLabels() != nil {
		t.Error(last)
	}
}

func TestALoopWaitsWhileTheServerIsBusy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		answer := claimsOf()
		busy := 2
		coordination := &fakeCoordination{}
		coordination.claim = func(request *v1.ClaimTaskRequest) (*v1.ClaimTaskResponse, error) {
			if busy--; busy >= 0 {
				return nil, &Error{Code: codes.ResourceExhausted, Retryable: true, RetryDelay: 2 * time.Second}
			}
			return answer(request)
		}
		client := newTestClient(t, nil, coordination)
		began := time.Now()
		for _, err := range client.Claims(t.Context(), &v1.ClaimTaskRequest{}) {
			t.Error(err)
		}
		if waited := time.Since(began); waited != 4*time.Second {
			t.Error(waited)
		}
		ids := coordination.claims
		if len(ids) != 3 || ids[0].GetRequestId() != ids[2].GetRequestId() {
			t.Error(ids)
		}
		busy = 1_000
		for _, err := range client.Claims(t.Context(), &v1.ClaimTaskRequest{}) {
			var failed *Error
			if !errors.As(err, &failed) || failed.Code != codes.ResourceExhausted {
				t.Error(err)
			}
		}
	})
}

func TestALongWaitIsSplit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		coordination := &fakeCoordination{}
		coordination.claim = func(request *v1.ClaimTaskRequest) (*v1.ClaimTaskResponse, error) {
			time.Sleep(request.GetWait().AsDuration())
			return &v1.ClaimTaskResponse{}, nil
		}
		client := newTestClient(t, nil, coordination)
		began := time.Now()
		for range client.Claims(t.Context(), &v1.ClaimTaskRequest{Wait: durationpb.New(150 * time.Second)}) {
			t.Error("nothing was ready")
		}
		if waited := time.Since(began); waited != 150*time.Second || len(coordination.claims) != 3 {
			t.Error(waited, len(coordination.claims))
		}
	})
}

func TestALongClaimAsksUntilWhenItsLeaseIsValid(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		coordination := &fakeCoordination{}
		coordination.claim = func(*v1.ClaimTaskRequest) (*v1.ClaimTaskResponse, error) {
			time.Sleep(40 * time.Second)
			return &v1.ClaimTaskResponse{Claims: []*v1.ClaimedTask{claimed("a")}}, nil
		}
		client := newTestClient(t, nil, coordination)
		work, err := client.Claim(t.Context(), &v1.ClaimTaskRequest{Wait: durationpb.New(time.Minute)})
		if err != nil {
			t.Fatal(err)
		}
		if coordination.beatCount() != 1 || time.Until(work.kept.validUntil) != 30*time.Second {
			t.Error(coordination.beatCount(), time.Until(work.kept.validUntil))
		}
		client.end()
	})
}

func TestClaimsThatCannotBe(t *testing.T) {
	client := newTestClient(t, nil, &fakeCoordination{claim: claimsOf()})
	if _, err := client.Claim(t.Context(), &v1.ClaimTaskRequest{Count: 2}); !errors.Is(err, ErrInvalid) {
		t.Error(err)
	}
	if _, err := client.Claim(t.Context(), &v1.ClaimTaskRequest{}); !errors.Is(err, ErrNoWork) {
		t.Error(err)
	}
	for _, err := range client.Claims(t.Context(), &v1.ClaimTaskRequest{RequestId: "one"}) {
		if !errors.Is(err, ErrInvalid) {
			t.Error(err)
		}
	}
}
