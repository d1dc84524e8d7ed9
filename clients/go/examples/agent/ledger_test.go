//go:build ledger

package main

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	orchestration "github.com/orchestration-ledger/orchestration/clients/go"
	v1 "github.com/orchestration-ledger/orchestration/clients/go/orchestrationv1"
)

// TestTheAgentWorksThroughASprint needs the ledger of ORCHESTRATION_ADDRESS.
func TestTheAgentWorksThroughASprint(t *testing.T) {
	client, err := orchestration.Open(orchestration.Settings{Agent: "builder-1"})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	sprint := fmt.Sprintf("agent-go-%d", time.Now().UnixNano())
	_, err = client.Sprints.CreateSprint(t.Context(), &v1.CreateSprintRequest{Sprint: &v1.Sprint{
		Code: sprint, Title: "The agent's", Status: v1.SprintStatus_SPRINT_STATUS_ACTIVE,
	}})
	if err != nil {
		t.Fatal(err)
	}
	for number := range 3 {
		_, err := client.Tasks.CreateTask(t.Context(), &v1.CreateTaskRequest{Task: &v1.Task{
			Code: fmt.Sprintf("%s-%d", sprint, number), Title: "Write it", SprintCode: sprint,
		}})
		if err != nil {
			t.Fatal(err)
		}
	}
	var output bytes.Buffer
	if err := run(t.Context(), client, sprint, &output); err != nil {
		t.Fatal(err)
	}
	completed := 0
	for task, err := range client.ListTasks(t.Context(), &v1.ListTasksRequest{SprintCode: sprint, PageSize: 1}) {
		if err != nil {
			t.Fatal(err)
		}
		if task.GetStatus() == v1.TaskStatus_TASK_STATUS_COMPLETED {
			completed++
		}
	}
	if completed != 3 || !bytes.Contains(output.Bytes(), []byte(sprint)) {
		t.Errorf("%d tasks are completed\n%s", completed, output.String())
	}
}
