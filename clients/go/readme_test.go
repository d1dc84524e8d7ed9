package orchestration_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"slices"
	"strings"
	"testing"

	orchestration "github.com/orchestration-ledger/orchestration/clients/go"
	v1 "github.com/orchestration-ledger/orchestration/clients/go/orchestrationv1"
)

// The functions have the fragments of the README, so that they compile. package.sh runs its first program.
var _ = []any{explain, follow, emit, work}

func explain(err error) {
	var failed *orchestration.Error
	if errors.As(err, &failed) && failed.Reason == "STALE_REVISION" {
		fmt.Println("somebody was first; now at revision", failed.Metadata["current_revision"])
	}
}

func follow(ctx context.Context, client *orchestration.Client, store func(string)) error {
	timeline := client.Follow(&v1.StreamTimelineRequest{
		Filter: &v1.EventFilter{Types: []string{"orchestration.task.*"}}, Follow: true,
	})
	defer timeline.Close()
	for event, err := range timeline.All(ctx) {
		if err != nil {
			return err
		}
		fmt.Println(event.GetType(), event.GetEntityCode())
		store(timeline.Cursor())
	}
	return nil
}

func emit(ctx context.Context, client *orchestration.Client, events []*v1.NewEvent) error {
	totals, err := client.EmitAll(ctx, slices.Values(events))
	fmt.Println(totals.Stored)
	return err
}

func work(ctx context.Context, client *orchestration.Client, ask func(context.Context, string) string) error {
	for work, err := range client.Claims(ctx, &v1.ClaimTaskRequest{SprintCode: "S1"}) {
		if err != nil {
			return err
		}
		err = work.Run(ctx, func(ctx context.Context) error {
			prompt, err := work.Prompt(ctx, 2_000)
			if err != nil {
				return err
			}
			_, err = work.Finish(ctx, ask(ctx, prompt))
			return err
		})
		if err != nil {
			log.Println(work.Code(), err)
		}
	}
	return nil
}

func TestTheFragmentsOfTheREADMECompile(t *testing.T) {
	readme, compiled := lines(t, "README.md"), lines(t, "readme_test.go")
	blocks := strings.Split(readme, "\n```go\n")
	for _, block := range blocks[2:] {
		fragment, _, _ := strings.Cut(block, "\n```")
		if !strings.Contains(compiled, "\n"+fragment+"\n") {
			t.Errorf("readme_test.go has no:\n%s", fragment)
		}
	}
	if len(blocks) != 6 {
		t.Errorf("%d blocks", len(blocks)-1)
	}
}

// lines returns the lines of a file without their indentation.
func lines(t *testing.T, name string) string {
	t.Helper()
	content, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	var trimmed []string
	for line := range strings.Lines(string(content)) {
		trimmed = append(trimmed, strings.TrimSpace(line))
	}
	return strings.Join(trimmed, "\n")
}
