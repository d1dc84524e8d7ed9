package orchestration

import (
	"context"
	"io"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	v1 "github.com/orchestration-ledger/orchestration/clients/go/orchestrationv1"
)

// newTestClient returns a client without a connection, whose stubs are fakes, for tests with a clock of their own.
func newTestClient(t *testing.T, events v1.EventServiceClient, coordination v1.CoordinationServiceClient) *Client {
	t.Helper()
	client := &Client{Events: events, Coordination: coordination, log: slog.New(slog.DiscardHandler)}
	client.life, client.end = context.WithCancel(t.Context())
	client.keeper = newLeaseKeeper(client.life, coordination, client.log)
	t.Cleanup(client.end)
	return client
}

func unavailable() error {
	return &Error{Code: codes.Unavailable, Message: "gone"}
}

// fakeEvents answers each call of a stream with the next of its scripts.
type fakeEvents struct {
	v1.EventServiceClient
	lock     sync.Mutex
	scripts  []script
	requests []*v1.StreamTimelineRequest
	streams  []*fakeEmit
	opened   []time.Time
}

// script is what a stream sends before it ends with err. Without err it stays open.
type script struct {
	messages []*v1.StreamTimelineResponse
	err      error
	// answers returns the answer to a message of EmitEvents; nil for none.
	answers func(*v1.EmitEventsRequest) *v1.EmitEventsResponse
}

func (f *fakeEvents) next() script {
	f.lock.Lock()
	defer f.lock.Unlock()
	f.opened = append(f.opened, time.Now())
	if len(f.scripts) == 0 {
		return script{}
	}
	first := f.scripts[0]
	f.scripts = f.scripts[1:]
	return first
}

func (f *fakeEvents) StreamTimeline(
	ctx context.Context, request *v1.StreamTimelineRequest, _ ...grpc.CallOption,
) (grpc.ServerStreamingClient[v1.StreamTimelineResponse], error) {
	following := f.next()
	f.lock.Lock()
	defer f.lock.Unlock()
	f.requests = append(f.requests, request)
	return &fakeTimeline{ctx: ctx, script: following}, nil
}

type fakeTimeline struct {
	grpc.ClientStream
	ctx context.Context
	script
}

func (f *fakeTimeline) Recv() (*v1.StreamTimelineResponse, error) {
	if len(f.messages) > 0 {
		message := f.messages[0]
		f.messages = f.messages[1:]
		return message, nil
	}
	if f.err != nil {
		return nil, f.err
	}
	<-f.ctx.Done()
	return nil, f.ctx.Err()
}

func (f *fakeEvents) EmitEvents(
	ctx context.Context, _ ...grpc.CallOption,
) (grpc.BidiStreamingClient[v1.EmitEventsRequest, v1.EmitEventsResponse], error) {
	stream := &fakeEmit{ctx: ctx, script: f.next()}
	f.lock.Lock()
	defer f.lock.Unlock()
	f.streams = append(f.streams, stream)
	return stream, nil
}

type fakeEmit struct {
	grpc.ClientStream
	ctx context.Context
	script
	sent    []*v1.EmitEventsRequest
	waiting []*v1.EmitEventsResponse
	closed  bool
}

func (f *fakeEmit) Send(message *v1.EmitEventsRequest) error {
	f.sent = append(f.sent, message)
	if f.answers != nil {
		if answer := f.answers(message); answer != nil {
			f.waiting = append(f.waiting, answer)
		}
	}
	return nil
}

func (f *fakeEmit) CloseSend() error {
	f.closed = true
	return nil
}

func (f *fakeEmit) Recv() (*v1.EmitEventsResponse, error) {
	if len(f.waiting) > 0 {
		answer := f.waiting[0]
		f.waiting = f.waiting[1:]
		return answer, nil
	}
	if f.closed {
		return nil, io.EOF
	}
	if f.err != nil {
		return nil, f.err
	}
	<-f.ctx.Done()
	return nil, &Error{Code: contextCode(f.ctx), cause: f.ctx.Err()}
}

// fakeCoordination answers by its functions, and records what it was asked.
type fakeCoordination struct {
	v1.CoordinationServiceClient
	lock     sync.Mutex
	beats    []*v1.HeartbeatRequest
	releases []*v1.ReleaseTaskRequest
	claims   []*v1.ClaimTaskRequest

	beat    func(context.Context, *v1.HeartbeatRequest) (*v1.HeartbeatResponse, error)
	release func(*v1.ReleaseTaskRequest) error
	claim   func(*v1.ClaimTaskRequest) (*v1.ClaimTaskResponse, error)
	ready   []*v1.Task
}

func (f *fakeCoordination) Heartbeat(
	ctx context.Context, request *v1.HeartbeatRequest, _ ...grpc.CallOption,
) (*v1.HeartbeatResponse, error) {
	f.lock.Lock()
	f.beats = append(f.beats, request)
	answer := f.beat
	f.lock.Unlock()
	if answer == nil {
		answer = held
	}
	return answer(ctx, request)
}

func (f *fakeCoordination) sentBeats() []*v1.HeartbeatRequest {
	f.lock.Lock()
	defer f.lock.Unlock()
	return slices.Clone(f.beats)
}

func (f *fakeCoordination) beatCount() int { return len(f.sentBeats()) }

// held says that all leases are held, for 30 seconds more.
func held(_ context.Context, request *v1.HeartbeatRequest) (*v1.HeartbeatResponse, error) {
	return states(request, v1.LeaseStatus_LEASE_STATUS_HELD), nil
}

func states(request *v1.HeartbeatRequest, status v1.LeaseStatus) *v1.HeartbeatResponse {
	response := &v1.HeartbeatResponse{}
	for _, lease := range request.GetLeases() {
		response.Leases = append(response.Leases, &v1.LeaseState{
			TaskCode: lease.GetTaskCode(), Fence: lease.GetFence(), Status: status,
			Directive: v1.Directive_DIRECTIVE_CONTINUE, TimeLeft: durationpb.New(30 * time.Second),
		})
	}
	return response
}

func (f *fakeCoordination) ReleaseTask(
	_ context.Context, request *v1.ReleaseTaskRequest, _ ...grpc.CallOption,
) (*v1.ReleaseTaskResponse, error) {
	f.lock.Lock()
	defer f.lock.Unlock()
	f.releases = append(f.releases, request)
	if f.release != nil {
		if err := f.release(request); err != nil {
			return nil, err
		}
	}
	return &v1.ReleaseTaskResponse{Task: &v1.Task{Code: request.GetTaskCode()}}, nil
}

func (f *fakeCoordination) ClaimTask(
	_ context.Context, request *v1.ClaimTaskRequest, _ ...grpc.CallOption,
) (*v1.ClaimTaskResponse, error) {
	f.lock.Lock()
	defer f.lock.Unlock()
	f.claims = append(f.claims, request)
	return f.claim(request)
}

func (f *fakeCoordination) ListReadyTasks(
	context.Context, *v1.ListReadyTasksRequest, ...grpc.CallOption,
) (*v1.ListReadyTasksResponse, error) {
	return &v1.ListReadyTasksResponse{Tasks: f.ready}, nil
}

// claimed returns a claimed task with a lease of 30 seconds.
func claimed(code string) *v1.ClaimedTask {
	start := time.Unix(1_000, 0)
	return &v1.ClaimedTask{
		Task: &v1.Task{Code: code},
		Lease: &v1.Lease{
			TaskCode: code, Fence: 7, Attempt: 1, Duration: durationpb.New(30 * time.Second),
			StartTime: timestamppb.New(start), ExpireTime: timestamppb.New(start.Add(30 * time.Second)),
		},
	}
}
