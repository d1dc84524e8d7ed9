package orchestration_test

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	orchestration "github.com/orchestration-ledger/orchestration/clients/go"
	"github.com/orchestration-ledger/orchestration/clients/go/internal/fakeledger"
	v1 "github.com/orchestration-ledger/orchestration/clients/go/orchestrationv1"
)

// calls records the calls of a fake, and fails each with the next of its errors.
type calls struct {
	lock     sync.Mutex
	fail     []error
	requests []proto.Message
	contexts []context.Context
}

func (c *calls) take(ctx context.Context, request proto.Message) error {
	c.lock.Lock()
	defer c.lock.Unlock()
	c.requests = append(c.requests, request)
	c.contexts = append(c.contexts, ctx)
	if len(c.fail) == 0 {
		return nil
	}
	err := c.fail[0]
	c.fail = c.fail[1:]
	return err
}

func (c *calls) createTask(ctx context.Context, request *v1.CreateTaskRequest) (*v1.CreateTaskResponse, error) {
	if err := c.take(ctx, request); err != nil {
		return nil, err
	}
	return &v1.CreateTaskResponse{Task: request.GetTask()}, nil
}

func (c *calls) ids() []string {
	c.lock.Lock()
	defer c.lock.Unlock()
	var ids []string
	for _, request := range c.requests {
		ids = append(ids, request.(*v1.CreateTaskRequest).GetRequestId())
	}
	return ids
}

func opened(t *testing.T, ledger fakeledger.Ledger, settings orchestration.Settings) *orchestration.Client {
	t.Helper()
	settings.Address = ledger.Start(t)
	client, err := orchestration.Open(settings)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	return client
}

func withCreateTask(recorded *calls) fakeledger.Ledger {
	return fakeledger.Ledger{Unary: map[string]fakeledger.Unary{
		"TaskService/CreateTask": fakeledger.Answer(recorded.createTask),
	}}
}

func times(count int, err error) []error {
	return slices.Repeat([]error{err}, count)
}

func TestARetriedWriteKeepsItsRequestID(t *testing.T) {
	for _, code := range []codes.Code{codes.Unavailable, codes.Canceled} {
		recorded := &calls{fail: times(4, status.Error(code, "gone"))}
		client := opened(t, withCreateTask(recorded), orchestration.Settings{})
		request := &v1.CreateTaskRequest{Task: &v1.Task{Code: "t"}}
		if _, err := client.Tasks.CreateTask(t.Context(), request); err != nil {
			t.Fatal(err)
		}
		ids := recorded.ids()
		if len(ids) != 5 || ids[0] == "" || len(slices.Compact(slices.Clone(ids))) != 1 {
			t.Errorf("%s: %v", code, ids)
		}
		if request.GetRequestId() != "" {
			t.Error("the caller's message was changed")
		}
		if _, err := client.Tasks.CreateTask(t.Context(), request); err != nil {
			t.Fatal(err)
		}
		if again := recorded.ids(); again[5] == ids[0] {
			t.Error("another call of the same message is another write")
		}
	}
}

func TestARequestIDOfTheCallerIsKept(t *testing.T) {
	recorded := &calls{}
	client := opened(t, withCreateTask(recorded), orchestration.Settings{})
	if _, err := client.Tasks.CreateTask(t.Context(), &v1.CreateTaskRequest{RequestId: "mine"}); err != nil {
		t.Fatal(err)
	}
	if ids := recorded.ids(); !slices.Equal(ids, []string{"mine"}) {
		t.Error(ids)
	}
}

func TestALargeWriteIsRetried(t *testing.T) {
	recorded := &calls{fail: times(1, status.Error(codes.Unavailable, "gone"))}
	client := opened(t, withCreateTask(recorded), orchestration.Settings{})
	task := &v1.Task{Description: strings.Repeat("x", 3<<20)}
	if _, err := client.Tasks.CreateTask(t.Context(), &v1.CreateTaskRequest{Task: task}); err != nil {
		t.Fatal(err)
	}
	if ids := recorded.ids(); len(ids) != 2 || ids[0] != ids[1] {
		t.Error(ids)
	}
}

func TestWhatIsNotRetried(t *testing.T) {
	for _, code := range []codes.Code{
		codes.Aborted, codes.ResourceExhausted, codes.FailedPrecondition, codes.Internal, codes.DeadlineExceeded,
	} {
		recorded := &calls{fail: times(2, status.Error(code, "no"))}
		client := opened(t, withCreateTask(recorded), orchestration.Settings{})
		_, err := client.Tasks.CreateTask(t.Context(), &v1.CreateTaskRequest{})
		if status.Code(err) != code || len(recorded.ids()) != 1 {
			t.Errorf("%s: %v after %d calls", code, err, len(recorded.ids()))
		}
	}
}

func TestARetryEndsAfterFiveAttempts(t *testing.T) {
	recorded := &calls{fail: times(6, status.Error(codes.Unavailable, "gone"))}
	client := opened(t, withCreateTask(recorded), orchestration.Settings{})
	_, err := client.Tasks.CreateTask(t.Context(), &v1.CreateTaskRequest{})
	if status.Code(err) != codes.Unavailable || len(recorded.ids()) != 5 {
		t.Errorf("%v after %d calls", err, len(recorded.ids()))
	}
}

func TestTheCallersCancellationIsNotRetried(t *testing.T) {
	recorded := &calls{}
	arrived := make(chan struct{}, 9)
	ledger := fakeledger.Ledger{Unary: map[string]fakeledger.Unary{
		"TaskService/CreateTask": fakeledger.Answer(
			func(ctx context.Context, request *v1.CreateTaskRequest) (*v1.CreateTaskResponse, error) {
				_ = recorded.take(ctx, request)
				arrived <- struct{}{}
				<-ctx.Done()
				return nil, status.FromContextError(ctx.Err()).Err()
			}),
	}}
	client := opened(t, ledger, orchestration.Settings{})
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-arrived; cancel() }()
	_, err := client.Tasks.CreateTask(ctx, &v1.CreateTaskRequest{})
	if status.Code(err) != codes.Canceled || !errors.Is(err, context.Canceled) || len(recorded.ids()) != 1 {
		t.Errorf("%v after %d calls", err, len(recorded.ids()))
	}
}

func TestMetadataOfTheClientAndOfTheCall(t *testing.T) {
	recorded := &calls{}
	client := opened(t, withCreateTask(recorded), orchestration.Settings{
		Project: "p", Agent: "a", Session: "s", CorrelationID: "c", Token: "key",
	})
	if _, err := client.Tasks.CreateTask(t.Context(), &v1.CreateTaskRequest{}); err != nil {
		t.Fatal(err)
	}
	other := metadata.AppendToOutgoingContext(t.Context(), "orchestration-agent", "another")
	if _, err := client.Tasks.CreateTask(other, &v1.CreateTaskRequest{}); err != nil {
		t.Fatal(err)
	}
	for index, agent := range []string{"a", "another"} {
		sent, _ := metadata.FromIncomingContext(recorded.contexts[index])
		for key, value := range map[string]string{
			"orchestration-project": "p", "orchestration-agent": agent, "orchestration-session": "s",
			"orchestration-correlation-id": "c", "authorization": "Bearer key",
		} {
			if !slices.Equal(sent.Get(key), []string{value}) {
				t.Errorf("%s: %v", key, sent.Get(key))
			}
		}
	}
}

func TestDeadlines(t *testing.T) {
	recorded := &calls{}
	client := opened(t, withCreateTask(recorded), orchestration.Settings{})
	limited, cancel := context.WithTimeout(t.Context(), time.Hour)
	defer cancel()
	for _, ctx := range []context.Context{t.Context(), limited} {
		if _, err := client.Tasks.CreateTask(ctx, &v1.CreateTaskRequest{}); err != nil {
			t.Fatal(err)
		}
	}
	for index, most := range []time.Duration{orchestration.DefaultTimeout, time.Hour} {
		deadline, limited := recorded.contexts[index].Deadline()
		left := time.Until(deadline)
		if !limited || left > most || index == 1 && left < time.Minute {
			t.Errorf("%v %v", limited, left)
		}
	}
}

func TestErrorsHaveTheirDetails(t *testing.T) {
	refused, err := status.New(codes.Aborted, "read it again").WithDetails(
		&errdetails.ErrorInfo{Reason: "STALE_REVISION", Metadata: map[string]string{"current_revision": "2"}},
		&errdetails.BadRequest{FieldViolations: []*errdetails.BadRequest_FieldViolation{{Field: "task.code", Description: "no"}}},
		&errdetails.ResourceInfo{ResourceType: "task", ResourceName: "t"},
		&errdetails.RetryInfo{RetryDelay: durationpb.New(1500 * time.Millisecond)})
	if err != nil {
		t.Fatal(err)
	}
	client := opened(t, withCreateTask(&calls{fail: []error{refused.Err()}}), orchestration.Settings{})
	_, err = client.Tasks.CreateTask(t.Context(), &v1.CreateTaskRequest{})
	var failed *orchestration.Error
	if !errors.As(err, &failed) {
		t.Fatal(err)
	}
	if failed.Code != codes.Aborted || failed.CodeName() != "ABORTED" || failed.Reason != "STALE_REVISION" ||
		failed.Message != "read it again" || failed.Metadata["current_revision"] != "2" ||
		failed.Violations["task.code"] != "no" || *failed.Resource != (orchestration.Resource{Type: "task", Name: "t"}) ||
		!failed.Retryable || failed.RetryDelay != 1500*time.Millisecond {
		t.Errorf("%+v", failed)
	}
	if err.Error() != "STALE_REVISION: read it again" {
		t.Error(err)
	}
	if converted := status.Convert(err); converted.Code() != codes.Aborted || len(converted.Details()) != 4 {
		t.Error(converted)
	}
}

func TestACloseEndsCallsInFlightAndLaterOnes(t *testing.T) {
	arrived := make(chan struct{}, 9)
	ledger := fakeledger.Ledger{Unary: map[string]fakeledger.Unary{
		"TaskService/CreateTask": fakeledger.Answer(
			func(ctx context.Context, _ *v1.CreateTaskRequest) (*v1.CreateTaskResponse, error) {
				arrived <- struct{}{}
				<-ctx.Done()
				return nil, status.FromContextError(ctx.Err()).Err()
			}),
	}}
	client := opened(t, ledger, orchestration.Settings{})
	go func() { <-arrived; _ = client.Close() }()
	_, err := client.Tasks.CreateTask(t.Context(), &v1.CreateTaskRequest{})
	if status.Code(err) != codes.Canceled || !errors.Is(err, orchestration.ErrClosed) {
		t.Error(err)
	}
	if _, err := client.Tasks.CreateTask(t.Context(), &v1.CreateTaskRequest{}); !errors.Is(err, orchestration.ErrClosed) {
		t.Error(err)
	}
	if err := client.Close(); err != nil {
		t.Error("a second close:", err)
	}
}

func TestAListReadsAllPagesWithTheFirstFilters(t *testing.T) {
	var asked []*v1.ListTasksRequest
	ledger := fakeledger.Ledger{Unary: map[string]fakeledger.Unary{
		"TaskService/ListTasks": fakeledger.Answer(
			func(_ context.Context, request *v1.ListTasksRequest) (*v1.ListTasksResponse, error) {
				asked = append(asked, request)
				page, _ := strconv.Atoi(request.GetPageToken())
				response := &v1.ListTasksResponse{Tasks: []*v1.Task{{Code: "t" + strconv.Itoa(page)}}}
				if page < 2 {
					response.NextPageToken = strconv.Itoa(page + 1)
				}
				return response, nil
			}),
	}}
	client := opened(t, ledger, orchestration.Settings{})
	request := &v1.ListTasksRequest{SprintCode: "S1", PageSize: 1}
	list := client.ListTasks(t.Context(), request)
	var codes []string
	for task, err := range list {
		if err != nil {
			t.Fatal(err)
		}
		request.SprintCode = "S2" // The list goes on as it began.
		codes = append(codes, task.GetCode())
	}
	if !slices.Equal(codes, []string{"t0", "t1", "t2"}) {
		t.Error(codes)
	}
	for _, each := range asked {
		if each.GetSprintCode() != "S1" {
			t.Error(each)
		}
	}
	for task, err := range list {
		if err != nil || task.GetCode() != "t0" {
			t.Error(task, err)
		}
		break
	}
	if len(asked) != 4 {
		t.Errorf("a list that is left reads no further page: %d", len(asked))
	}
}

func TestAListEndsWithAnError(t *testing.T) {
	client := opened(t, fakeledger.Ledger{}, orchestration.Settings{})
	var ended []error
	for _, err := range client.ListSprints(t.Context(), &v1.ListSprintsRequest{}) {
		ended = append(ended, err)
	}
	if len(ended) != 1 || status.Code(ended[0]) != codes.Unimplemented {
		t.Error(ended)
	}
}
