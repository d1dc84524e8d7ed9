package main

import (
	"context"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	orchestration "github.com/orchestration-ledger/orchestration/clients/go"
	v1 "github.com/orchestration-ledger/orchestration/clients/go/orchestrationv1"
)

// The faults that break this driver on purpose, to show that the suite finds them.
const (
	forgetCursor   = "forget-cursor"
	freshRequestID = "fresh-request-id"
)

const attempts = 5

// forgetfulEvents opens each timeline where the first one began.
type forgetfulEvents struct {
	v1.EventServiceClient
	first *v1.StreamTimelineRequest
}

func (f forgetfulEvents) StreamTimeline(
	ctx context.Context, _ *v1.StreamTimelineRequest, options ...grpc.CallOption,
) (grpc.ServerStreamingClient[v1.StreamTimelineResponse], error) {
	return f.EventServiceClient.StreamTimeline(ctx, f.first, options...)
}

// forgetful returns a copy of the client whose timeline forgets its cursor.
func forgetful(client *orchestration.Client, first *v1.StreamTimelineRequest) *orchestration.Client {
	broken := *client
	broken.Events = forgetfulEvents{EventServiceClient: client.Events, first: first}
	return &broken
}

// retryWithFreshRequestID retries in place of the transport, each time as another write.
func retryWithFreshRequestID(
	ctx context.Context, method string, request, reply any, conn *grpc.ClientConn, invoke grpc.UnaryInvoker,
	options ...grpc.CallOption,
) error {
	var err error
	for range attempts {
		err = invoke(ctx, method, request, reply, conn, options...)
		code := status.Code(err)
		if ctx.Err() != nil || code != codes.Unavailable && code != codes.Canceled {
			return err
		}
		request = withFreshRequestID(request)
	}
	return err
}

func withFreshRequestID(request any) any {
	message, ok := request.(proto.Message)
	if !ok {
		return request
	}
	field := message.ProtoReflect().Descriptor().Fields().ByName("request_id")
	if field == nil {
		return request
	}
	copied := proto.Clone(message)
	copied.ProtoReflect().Set(field, protoreflect.ValueOfString(orchestration.NewRequestID()))
	return copied
}
