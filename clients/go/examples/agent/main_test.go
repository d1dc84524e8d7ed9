package main

import (
	"bytes"
	"context"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	orchestration "github.com/orchestration-ledger/orchestration/clients/go"
	"github.com/orchestration-ledger/orchestration/clients/go/internal/fakeledger"
	v1 "github.com/orchestration-ledger/orchestration/clients/go/orchestrationv1"
)

func TestTheAgentFinishesWhatIsReady(t *testing.T) {
	ready := []string{"a", "b"}
	var logged, finished []string
	ledger := fakeledger.Ledger{Unary: map[string]fakeledger.Unary{
		"CoordinationService/ClaimTask": fakeledger.Answer(
			func(_ context.Context, request *v1.ClaimTaskRequest) (*v1.ClaimTaskResponse, error) {
				if len(ready) == 0 || request.GetSprintCode() != "S" {
					return &v1.ClaimTaskResponse{}, nil
				}
				code := ready[0]
				ready = ready[1:]
				now := time.Now()
				return &v1.ClaimTaskResponse{Claims: []*v1.ClaimedTask{{
					Task: &v1.Task{Code: code},
					Lease: &v1.Lease{
						TaskCode: code, Fence: 1, Duration: durationpb.New(time.Minute),
						StartTime: timestamppb.New(now), ExpireTime: timestamppb.New(now.Add(time.Minute)),
					},
				}}}, nil
			}),
		"EventService/EmitEvent": fakeledger.Answer(
			func(_ context.Context, request *v1.EmitEventRequest) (*v1.EmitEventResponse, error) {
				logged = append(logged, request.GetEvent().GetEntityCode())
				return &v1.EmitEventResponse{}, nil
			}),
		"ContextService/AssembleContext": fakeledger.Answer(
			func(context.Context, *v1.AssembleContextRequest) (*v1.AssembleContextResponse, error) {
				return &v1.AssembleContextResponse{Context: &v1.Context{Markdown: "three words here"}}, nil
			}),
		"CoordinationService/ReleaseTask": fakeledger.Answer(
			func(_ context.Context, request *v1.ReleaseTaskRequest) (*v1.ReleaseTaskResponse, error) {
				finished = append(finished, request.GetTaskCode()+": "+request.GetReason())
				return &v1.ReleaseTaskResponse{}, nil
			}),
		"ReportService/GetSprintStatusReport": fakeledger.Answer(
			func(context.Context, *v1.GetSprintStatusReportRequest) (*v1.GetSprintStatusReportResponse, error) {
				return &v1.GetSprintStatusReportResponse{Markdown: "# S"}, nil
			}),
	}}
	client, err := orchestration.Open(orchestration.Settings{Address: ledger.Start(t), Agent: "builder-1"})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	var output bytes.Buffer
	if err := run(t.Context(), client, "S", &output); err != nil {
		t.Fatal(err)
	}
	if strings.Join(logged, " ") != "a b" || strings.Join(finished, "; ") != "a: read 3 words; b: read 3 words" {
		t.Error(logged, finished)
	}
	if output.String() != "# S\n" {
		t.Error(output.String())
	}
}
