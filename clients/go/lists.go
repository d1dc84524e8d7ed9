package orchestration

import (
	"context"
	"iter"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	v1 "github.com/orchestration-ledger/orchestration/clients/go/orchestrationv1"
)

// PageRequest is the request of a list.
type PageRequest interface {
	proto.Message
	GetPageToken() string
}

// Page is the response of a list.
type Page interface {
	GetNextPageToken() string
}

// Pages returns an iterator over the items of every page of a list, which starts at the request's page_token. The methods
// of [Client] call it for each list of the ledger:
//
//	Pages(ctx, client.Tasks.ListTasks, (*v1.ListTasksResponse).GetTasks, request)
//
// Each range reads the list anew, with the request as it was given to Pages. An error ends it.
func Pages[Request PageRequest, Response Page, Item any](
	ctx context.Context,
	method func(context.Context, Request, ...grpc.CallOption) (Response, error),
	items func(Response) []Item,
	request Request,
) iter.Seq2[Item, error] {
	given := proto.CloneOf(request) // A page token is valid only with the filters of its first page.
	return func(yield func(Item, error) bool) {
		asked := proto.CloneOf(given)
		for {
			page, err := method(ctx, asked)
			if err != nil {
				var none Item
				yield(none, err)
				return
			}
			for _, item := range items(page) {
				if !yield(item, nil) {
					return
				}
			}
			if page.GetNextPageToken() == "" {
				return
			}
			asked = proto.CloneOf(given)
			setPageToken(asked, page.GetNextPageToken())
		}
	}
}

func setPageToken(request proto.Message, token string) {
	message := request.ProtoReflect()
	message.Set(message.Descriptor().Fields().ByName("page_token"), protoreflect.ValueOfString(token))
}

// ListSprints returns the sprints that match, of all pages.
func (c *Client) ListSprints(ctx context.Context, request *v1.ListSprintsRequest) iter.Seq2[*v1.Sprint, error] {
	return Pages(ctx, c.Sprints.ListSprints, (*v1.ListSprintsResponse).GetSprints, request)
}

// ListTasks returns the tasks that match, of all pages.
func (c *Client) ListTasks(ctx context.Context, request *v1.ListTasksRequest) iter.Seq2[*v1.Task, error] {
	return Pages(ctx, c.Tasks.ListTasks, (*v1.ListTasksResponse).GetTasks, request)
}

// ListEvents returns the events that match, of all pages.
func (c *Client) ListEvents(ctx context.Context, request *v1.ListEventsRequest) iter.Seq2[*v1.Event, error] {
	return Pages(ctx, c.Events.ListEvents, (*v1.ListEventsResponse).GetEvents, request)
}

// EntityHistory returns the changes of an entity, of all pages.
func (c *Client) EntityHistory(
	ctx context.Context, request *v1.GetEntityHistoryRequest,
) iter.Seq2[*v1.EntityChange, error] {
	return Pages(ctx, c.Events.GetEntityHistory, (*v1.GetEntityHistoryResponse).GetChanges, request)
}

// ListSessions returns the sessions that match, of all pages.
func (c *Client) ListSessions(ctx context.Context, request *v1.ListSessionsRequest) iter.Seq2[*v1.Session, error] {
	return Pages(ctx, c.Sessions.ListSessions, (*v1.ListSessionsResponse).GetSessions, request)
}

// ListDependencies returns the dependencies of a task, of all pages.
func (c *Client) ListDependencies(
	ctx context.Context, request *v1.ListDependenciesRequest,
) iter.Seq2[*v1.Dependency, error] {
	return Pages(ctx, c.Coordination.ListDependencies, (*v1.ListDependenciesResponse).GetDependencies, request)
}

// ListReadyTasks returns the tasks that are ready to start, of all pages.
func (c *Client) ListReadyTasks(
	ctx context.Context, request *v1.ListReadyTasksRequest,
) iter.Seq2[*v1.Task, error] {
	return Pages(ctx, c.Coordination.ListReadyTasks, (*v1.ListReadyTasksResponse).GetTasks, request)
}

// ListLeases returns the valid leases of the project, of all pages.
func (c *Client) ListLeases(ctx context.Context, request *v1.ListLeasesRequest) iter.Seq2[*v1.Lease, error] {
	return Pages(ctx, c.Coordination.ListLeases, (*v1.ListLeasesResponse).GetLeases, request)
}

// ListAttempts returns the attempts at a task, newest first, of all pages.
func (c *Client) ListAttempts(ctx context.Context, request *v1.ListAttemptsRequest) iter.Seq2[*v1.Attempt, error] {
	return Pages(ctx, c.Coordination.ListAttempts, (*v1.ListAttemptsResponse).GetAttempts, request)
}

// ListPauses returns the pauses of the project, of all pages.
func (c *Client) ListPauses(ctx context.Context, request *v1.ListPausesRequest) iter.Seq2[*v1.Pause, error] {
	return Pages(ctx, c.Coordination.ListPauses, (*v1.ListPausesResponse).GetPauses, request)
}

// ListWorkLimits returns the limits of work in the project, of all pages.
func (c *Client) ListWorkLimits(
	ctx context.Context, request *v1.ListWorkLimitsRequest,
) iter.Seq2[*v1.WorkLimit, error] {
	return Pages(ctx, c.Coordination.ListWorkLimits, (*v1.ListWorkLimitsResponse).GetLimits, request)
}

// ListTemplates returns the templates, of all pages.
func (c *Client) ListTemplates(ctx context.Context, request *v1.ListTemplatesRequest) iter.Seq2[*v1.Template, error] {
	return Pages(ctx, c.Templates.ListTemplates, (*v1.ListTemplatesResponse).GetTemplates, request)
}

// ListSchedules returns the schedules of the project, of all pages.
func (c *Client) ListSchedules(ctx context.Context, request *v1.ListSchedulesRequest) iter.Seq2[*v1.Schedule, error] {
	return Pages(ctx, c.Schedules.ListSchedules, (*v1.ListSchedulesResponse).GetSchedules, request)
}

// ListAlerts returns the alerts of the ledger, of all pages.
func (c *Client) ListAlerts(ctx context.Context, request *v1.ListAlertsRequest) iter.Seq2[*v1.Alert, error] {
	return Pages(ctx, c.Admin.ListAlerts, (*v1.ListAlertsResponse).GetAlerts, request)
}
