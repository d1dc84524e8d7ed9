package main

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"

	orchestration "github.com/orchestration-ledger/orchestration/clients/go"
	v1 "github.com/orchestration-ledger/orchestration/clients/go/orchestrationv1"
)

type object = map[string]any

func seconds(count float64) time.Duration {
	return time.Duration(count * float64(time.Second))
}

func (d *driver) open(_ context.Context, given command) (any, error) {
	settings := orchestration.Settings{
		Address: given.Address, Token: given.Token, Project: given.Project, Agent: given.Agent,
		Session: given.Session, CorrelationID: given.Correlation,
		CAFile: given.CA, ClientCert: given.Cert, ClientKey: given.Key, Timeout: seconds(given.Timeout),
	}
	if d.fault == freshRequestID {
		settings.DialOptions = []grpc.DialOption{
			grpc.WithDisableRetry(), grpc.WithChainUnaryInterceptor(retryWithFreshRequestID),
		}
	}
	client, err := orchestration.Open(settings)
	if err != nil {
		return nil, err
	}
	d.clients.set(given.Client, client)
	return object{}, nil
}

func (d *driver) close(_ context.Context, given command) (any, error) {
	client, err := d.clients.get(given.Client)
	if err != nil {
		return nil, err
	}
	return object{}, client.Close()
}

func (d *driver) call(ctx context.Context, given command) (any, error) {
	client, err := d.clients.get(given.Client)
	if err != nil {
		return nil, err
	}
	request, response, err := messagesOf(given.Method)
	if err != nil {
		return nil, err
	}
	if err := decode(given.Request, request); err != nil {
		return nil, err
	}
	if given.Timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, seconds(given.Timeout))
		defer cancel()
	}
	if err := client.Conn().Invoke(ctx, "/orchestration.v1."+given.Method, request, response); err != nil {
		return nil, err
	}
	encoded, err := encode(response)
	if err != nil {
		return nil, err
	}
	return object{"response": encoded[0]}, nil
}

func (d *driver) cancel(_ context.Context, given command) (any, error) {
	cancel, err := d.calls.get(given.Call)
	if err != nil {
		return nil, err
	}
	cancel()
	return object{}, nil
}

// listing reads a list with a request in JSON, up to a limit.
type listing func(context.Context, *orchestration.Client, json.RawMessage, int) ([]json.RawMessage, error)

var listings = map[string]listing{
	"SprintService/ListSprints":            listOf((*orchestration.Client).ListSprints),
	"TaskService/ListTasks":                listOf((*orchestration.Client).ListTasks),
	"EventService/ListEvents":              listOf((*orchestration.Client).ListEvents),
	"EventService/GetEntityHistory":        listOf((*orchestration.Client).EntityHistory),
	"SessionService/ListSessions":          listOf((*orchestration.Client).ListSessions),
	"CoordinationService/ListDependencies": listOf((*orchestration.Client).ListDependencies),
	"CoordinationService/ListReadyTasks":   listOf((*orchestration.Client).ListReadyTasks),
	"CoordinationService/ListLeases":       listOf((*orchestration.Client).ListLeases),
	"CoordinationService/ListAttempts":     listOf((*orchestration.Client).ListAttempts),
	"CoordinationService/ListPauses":       listOf((*orchestration.Client).ListPauses),
	"CoordinationService/ListWorkLimits":   listOf((*orchestration.Client).ListWorkLimits),
	"TemplateService/ListTemplates":        listOf((*orchestration.Client).ListTemplates),
	"ScheduleService/ListSchedules":        listOf((*orchestration.Client).ListSchedules),
	"AdminService/ListAlerts":              listOf((*orchestration.Client).ListAlerts),
}

func listOf[Request, Item proto.Message](
	list func(*orchestration.Client, context.Context, Request) iter.Seq2[Item, error],
) listing {
	return func(ctx context.Context, client *orchestration.Client, given json.RawMessage, limit int,
	) ([]json.RawMessage, error) {
		var none Request
		request := none.ProtoReflect().New().Interface().(Request)
		if err := decode(given, request); err != nil {
			return nil, err
		}
		var items []Item
		for item, err := range list(client, ctx, request) {
			if err != nil {
				return nil, err
			}
			items = append(items, item)
			if limit > 0 && len(items) >= limit {
				break
			}
		}
		return encode(items...)
	}
}

func (d *driver) list(ctx context.Context, given command) (any, error) {
	client, err := d.clients.get(given.Client)
	if err != nil {
		return nil, err
	}
	read, known := listings[given.Method]
	if !known {
		return nil, fmt.Errorf("%w: no list %q", orchestration.ErrInvalid, given.Method)
	}
	items, err := read(ctx, client, given.Request, given.Limit)
	return object{"items": items}, err
}

func (d *driver) emitAll(ctx context.Context, given command) (any, error) {
	client, err := d.clients.get(given.Client)
	if err != nil {
		return nil, err
	}
	events, err := newEvents(given)
	if err != nil {
		return nil, err
	}
	var options []orchestration.StreamOption
	if given.Batch != 0 {
		options = append(options, orchestration.WithBatch(given.Batch))
	}
	totals, err := client.EmitAll(ctx, events, options...)
	return object{
		"stored": totals.Stored, "duplicates": totals.Duplicates, "sampledOut": totals.SampledOut,
	}, err
}

// newEvents returns the events of a command: those it has, or as many as it says.
func newEvents(given command) (iter.Seq[*v1.NewEvent], error) {
	if given.Count > 0 {
		return numbered(given.Type, 0, given.Count), nil
	}
	events := make([]*v1.NewEvent, len(given.Events))
	for index, text := range given.Events {
		events[index] = &v1.NewEvent{}
		if err := decode(text, events[index]); err != nil {
			return nil, err
		}
	}
	return func(yield func(*v1.NewEvent) bool) {
		for _, event := range events {
			if !yield(event) {
				return
			}
		}
	}, nil
}

// numbered returns events of a type with the payloads {"n": first}, {"n": first + 1} and so on.
func numbered(kind string, first, count int) iter.Seq[*v1.NewEvent] {
	return func(yield func(*v1.NewEvent) bool) {
		for number := first; number < first+count; number++ {
			payload := &structpb.Struct{Fields: map[string]*structpb.Value{"n": structpb.NewNumberValue(float64(number))}}
			if !yield(&v1.NewEvent{Type: kind, Payload: payload}) {
				return
			}
		}
	}
}
