package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/orchestration-ledger/orchestration/clients/go/internal/fakeledger"
	v1 "github.com/orchestration-ledger/orchestration/clients/go/orchestrationv1"
)

// session is a driver that a test sends one command after the other.
type session struct {
	t       *testing.T
	input   io.Writer
	answers *bufio.Scanner
}

func newSession(t *testing.T, fault string) session {
	t.Helper()
	commands, input := io.Pipe()
	answers, output := io.Pipe()
	done := make(chan error, 1)
	go func() {
		done <- newDriver(output, fault).run(commands)
	}()
	t.Cleanup(func() {
		_ = input.Close()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return session{t: t, input: input, answers: bufio.NewScanner(answers)}
}

// do sends a command and returns its answer, which is {"id": 1, "ok": ...} or {"id": 1, "error": ...}.
func (s session) do(format string, values ...any) map[string]any {
	s.t.Helper()
	if _, err := fmt.Fprintf(s.input, `{"id": 1, `+format+"}\n", values...); err != nil {
		s.t.Fatal(err)
	}
	if !s.answers.Scan() {
		s.t.Fatal("no answer")
	}
	var answer map[string]any
	if err := json.Unmarshal(s.answers.Bytes(), &answer); err != nil {
		s.t.Fatal(err)
	}
	return answer
}

func text(answer any) string {
	encoded, _ := json.Marshal(answer)
	return string(encoded)
}

func TestCommandsAndTheirAnswers(t *testing.T) {
	ledger := fakeledger.Ledger{Unary: map[string]fakeledger.Unary{
		"TaskService/GetTask": fakeledger.Answer(
			func(_ context.Context, request *v1.GetTaskRequest) (*v1.GetTaskResponse, error) {
				if request.GetTaskCode() == "none" {
					return nil, status.Error(codes.NotFound, "no such task")
				}
				return &v1.GetTaskResponse{Task: &v1.Task{Code: request.GetTaskCode(), Revision: 1 << 60}}, nil
			}),
		"TaskService/ListTasks": fakeledger.Answer(
			func(context.Context, *v1.ListTasksRequest) (*v1.ListTasksResponse, error) {
				return &v1.ListTasksResponse{Tasks: []*v1.Task{{Code: "a"}, {Code: "ß"}}}, nil
			}),
	}}
	driver := newSession(t, "")
	driver.do(`"op": "open", "client": "c", "address": %q`, ledger.Start(t))
	for command, answer := range map[string]string{
		`"op": "call", "client": "c", "method": "TaskService/GetTask", "request": {"taskCode": "t"}`:    `{"id":1,"ok":{"response":{"task":{"code":"t","revision":"1152921504606846976"}}}}`,
		`"op": "call", "client": "c", "method": "TaskService/GetTask", "request": {"taskCode": "none"}`: `{"error":{"code":"NOT_FOUND","message":"no such task","metadata":{},"reason":"","violations":{}},"id":1}`,
		`"op": "list", "client": "c", "method": "TaskService/ListTasks", "request": {}`:                 `{"id":1,"ok":{"items":[{"code":"a"},{"code":"ß"}]}}`,
		`"op": "list", "client": "c", "method": "TaskService/ListTasks", "limit": 1`:                    `{"id":1,"ok":{"items":[{"code":"a"}]}}`,
	} {
		if found := text(driver.do("%s", command)); found != answer {
			t.Errorf("%s: %s", command, found)
		}
	}
	for _, command := range []string{
		`"op": "dance"`,
		`"op": "call", "client": "nobody", "method": "TaskService/GetTask"`,
		`"op": "call", "client": "c", "method": "TaskService/Nothing"`,
		`"op": "call", "client": "c", "method": "TaskService/GetTask", "request": {"nothing": 1}`,
		`"op": "list", "client": "c", "method": "TaskService/GetTask"`,
		`"op": "open", "client": "d", "address": "http://ledger"`,
	} {
		if found := text(driver.do("%s", command)); !strings.Contains(found, `"code":"LOCAL"`) || !strings.Contains(found, `"reason":"INVALID"`) {
			t.Errorf("%s: %s", command, found)
		}
	}
	driver.do(`"op": "close", "client": "c"`)
	if found := text(driver.do(`"op": "call", "client": "c", "method": "TaskService/GetTask"`)); !strings.Contains(found, `"reason":"CLOSED"`) {
		t.Error(found)
	}
}

// timelines answers each timeline with one event after its cursor, and then breaks it.
type timelines struct {
	lock   sync.Mutex
	starts []string
}

func (s *timelines) stream(stream grpc.ServerStream) error {
	request := &v1.StreamTimelineRequest{}
	if err := stream.RecvMsg(request); err != nil {
		return err
	}
	s.lock.Lock()
	s.starts = append(s.starts, request.GetAfterCursor())
	s.lock.Unlock()
	cursor := request.GetAfterCursor() + "x"
	event := &v1.Event{Id: cursor, Cursor: cursor}
	err := stream.SendMsg(&v1.StreamTimelineResponse{Message: &v1.StreamTimelineResponse_Events{
		Events: &v1.EventBatch{Events: []*v1.Event{event}}}})
	if err != nil {
		return err
	}
	return status.Error(codes.Unavailable, "gone")
}

func TestAFollowerThatForgetsItsCursorRepeatsEvents(t *testing.T) {
	for fault, starts := range map[string][]string{"": {"", "x", "xx"}, forgetCursor: {"", "", ""}} {
		served := &timelines{}
		ledger := fakeledger.Ledger{Stream: map[string]func(grpc.ServerStream) error{
			"EventService/StreamTimeline": served.stream,
		}}
		driver := newSession(t, fault)
		driver.do(`"op": "open", "client": "c", "address": %q`, ledger.Start(t))
		driver.do(`"op": "follow", "client": "c", "follower": "f", "request": {"follow": true}`)
		driver.do(`"op": "next", "follower": "f", "count": 3, "timeout": 30`)
		driver.do(`"op": "unfollow", "follower": "f"`)
		served.lock.Lock()
		if found := served.starts[:3]; !slices.Equal(found, starts) {
			t.Errorf("%q: %q", fault, found)
		}
		served.lock.Unlock()
	}
}

func TestARetryWithAFreshRequestIDIsAnotherWrite(t *testing.T) {
	for _, fault := range []string{"", freshRequestID} {
		var ids []string
		ledger := fakeledger.Ledger{Unary: map[string]fakeledger.Unary{
			"TaskService/CreateTask": fakeledger.Answer(
				func(_ context.Context, request *v1.CreateTaskRequest) (*v1.CreateTaskResponse, error) {
					if ids = append(ids, request.GetRequestId()); len(ids) < 3 {
						return nil, status.Error(codes.Unavailable, "gone")
					}
					return &v1.CreateTaskResponse{}, nil
				}),
		}}
		driver := newSession(t, fault)
		driver.do(`"op": "open", "client": "c", "address": %q`, ledger.Start(t))
		driver.do(`"op": "call", "client": "c", "method": "TaskService/CreateTask", "request": {"task": {"code": "t"}}`)
		if same := len(ids) == 3 && ids[0] == ids[1] && ids[1] == ids[2]; same != (fault == "") {
			t.Errorf("%q: %v", fault, ids)
		}
	}
}

func TestACallIsCancelledByItsName(t *testing.T) {
	arrived := make(chan struct{}, 1)
	ledger := fakeledger.Ledger{Unary: map[string]fakeledger.Unary{
		"TaskService/GetTask": fakeledger.Answer(
			func(ctx context.Context, _ *v1.GetTaskRequest) (*v1.GetTaskResponse, error) {
				arrived <- struct{}{}
				<-ctx.Done()
				return nil, status.FromContextError(ctx.Err()).Err()
			}),
	}}
	driver := newSession(t, "")
	driver.do(`"op": "open", "client": "c", "address": %q`, ledger.Start(t))
	answers := map[string]bool{}
	fmt.Fprintln(driver.input, `{"id": 2, "op": "call", "client": "c", "call": "n", "method": "TaskService/GetTask"}`)
	<-arrived
	answers[text(driver.do(`"op": "cancel", "call": "n"`)["error"])] = true
	if !driver.answers.Scan() {
		t.Fatal("no answer")
	}
	answers[driver.answers.Text()] = true
	if joined := text(answers); !strings.Contains(joined, "CANCELLED") {
		t.Error(joined)
	}
}
