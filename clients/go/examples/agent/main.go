// Command agent takes ready work of a sprint until there is none: agent SPRINT.
package main

import (
	"context"
	"fmt"
	"io"
	"log"
	"os"
	"os/signal"
	"strings"

	orchestration "github.com/orchestration-ledger/orchestration/clients/go"
	v1 "github.com/orchestration-ledger/orchestration/clients/go/orchestrationv1"
)

func main() {
	if len(os.Args) != 2 {
		log.Fatal("usage: agent SPRINT")
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	client, err := orchestration.Open(orchestration.Settings{Agent: "builder-1"})
	if err == nil {
		defer client.Close()
		err = run(ctx, client, os.Args[1], os.Stdout)
	}
	if err != nil {
		log.Fatal(err)
	}
}

// run works on the ready tasks of a sprint, and writes the sprint's report.
func run(ctx context.Context, client *orchestration.Client, sprint string, output io.Writer) error {
	for work, err := range client.Claims(ctx, &v1.ClaimTaskRequest{SprintCode: sprint}) {
		if err != nil {
			return err
		}
		err = work.Run(ctx, func(ctx context.Context) error { return workOn(ctx, work) })
		if err != nil {
			fmt.Fprintln(output, work.Code(), err)
		}
	}
	report, err := client.Reports.GetSprintStatusReport(ctx, &v1.GetSprintStatusReportRequest{
		SprintCode: sprint, IncludeMarkdown: true,
	})
	if err != nil {
		return err
	}
	fmt.Fprintln(output, report.GetMarkdown())
	return nil
}

// workOn does the work of one task. The lease is kept meanwhile, and ctx ends if it is lost.
func workOn(ctx context.Context, work *orchestration.Work) error {
	if err := work.Log(ctx, "started", "attempt", work.Lease().GetAttempt()); err != nil {
		return err
	}
	prompt, err := work.Prompt(ctx, 2_000)
	if err != nil {
		return err
	}
	answer := askModel(prompt)
	if strings.Contains(answer, "enough for today") {
		_, err = work.Return(ctx, answer)
	} else {
		_, err = work.Finish(ctx, answer, orchestration.WithUsage(&v1.Usage{ToolCalls: 1}))
	}
	return err
}

// askModel stands for a call of a model.
func askModel(prompt string) string {
	return fmt.Sprintf("read %d words", len(strings.Fields(prompt)))
}
