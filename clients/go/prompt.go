package orchestration

import (
	"context"

	v1 "github.com/orchestration-ledger/orchestration/clients/go/orchestrationv1"
)

// Prompt returns what an agent needs to know about the task as Markdown, for a model. The text has at most tokens tokens, 200
// to 1,000,000, or any number if tokens is 0.
func (w *Work) Prompt(ctx context.Context, tokens int32) (string, error) {
	answer, err := w.client.Contexts.AssembleContext(ctx, &v1.AssembleContextRequest{
		Target:  &v1.AssembleContextRequest_TaskCode{TaskCode: w.Code()},
		Options: &v1.ContextOptions{TokenBudget: tokens, Format: v1.ContextFormat_CONTEXT_FORMAT_MARKDOWN},
	})
	if err != nil {
		return "", err
	}
	return answer.GetContext().GetMarkdown(), nil
}
