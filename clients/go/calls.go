package orchestration

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"io"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// NewRequestID returns a new id for one mutation and its retries. The client fills it in where a request has none; set
// your own to be safe if the program crashes between two attempts.
func NewRequestID() string {
	var id [16]byte
	_, _ = rand.Read(id[:]) // It never fails.
	return hex.EncodeToString(id[:])
}

// withRequestID returns the request, or a copy with a new request_id if it has a field for one that is empty. A message
// that the caller sends again is another mutation, so the caller's own stays as it is.
func withRequestID(request any) any {
	message, ok := request.(proto.Message)
	if !ok {
		return request
	}
	from := message.ProtoReflect()
	field := from.Descriptor().Fields().ByName("request_id")
	if field == nil || field.Kind() != protoreflect.StringKind || field.IsList() || from.Get(field).String() != "" {
		return request
	}
	// The copy shares its parts with the original, which is only read.
	copied := from.New()
	from.Range(func(field protoreflect.FieldDescriptor, value protoreflect.Value) bool {
		copied.Set(field, value)
		return true
	})
	copied.SetUnknown(from.GetUnknown())
	copied.Set(field, protoreflect.ValueOfString(NewRequestID()))
	return copied.Interface()
}

// begin returns the context of a call: with the client's metadata where the caller set none, and a deadline if it has
// none and timeout is positive. It ends with the client.
func (c *Client) begin(ctx context.Context, timeout time.Duration) (context.Context, context.CancelFunc) {
	given, _ := metadata.FromOutgoingContext(ctx)
	for _, pair := range c.metadata {
		if len(given.Get(pair[0])) == 0 {
			ctx = metadata.AppendToOutgoingContext(ctx, pair[0], pair[1])
		}
	}
	var cancel context.CancelFunc
	if _, limited := ctx.Deadline(); limited || timeout <= 0 {
		ctx, cancel = context.WithCancel(ctx)
	} else {
		ctx, cancel = context.WithTimeout(ctx, timeout)
	}
	stop := context.AfterFunc(c.life, cancel)
	return ctx, func() { stop(); cancel() }
}

// failure returns the typed error of a call; nil if there is none. ctx is that of the caller.
func (c *Client) failure(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	failed := asError(ctx, err)
	if failed.Code == codes.Canceled && c.life.Err() != nil && ctx.Err() == nil {
		failed.cause = ErrClosed
	}
	return failed
}

func (c *Client) interceptUnary(
	ctx context.Context, method string, request, reply any, conn *grpc.ClientConn, invoke grpc.UnaryInvoker,
	options ...grpc.CallOption,
) error {
	if c.life.Err() != nil {
		return ErrClosed
	}
	call, cancel := c.begin(ctx, c.timeout)
	defer cancel()
	return c.failure(ctx, invoke(call, method, withRequestID(request), reply, conn, options...))
}

func (c *Client) interceptStream(
	ctx context.Context, description *grpc.StreamDesc, conn *grpc.ClientConn, method string, open grpc.Streamer,
	options ...grpc.CallOption,
) (grpc.ClientStream, error) {
	if c.life.Err() != nil {
		return nil, ErrClosed
	}
	call, cancel := c.begin(ctx, 0)
	stream, err := open(call, description, conn, method, options...)
	if err != nil {
		cancel()
		return nil, c.failure(ctx, err)
	}
	return &typedStream{ClientStream: stream, client: c, ctx: ctx, cancel: sync.OnceFunc(cancel)}, nil
}

// typedStream is a stream with errors of the type Error.
type typedStream struct {
	grpc.ClientStream
	client *Client
	ctx    context.Context
	cancel context.CancelFunc
}

// RecvMsg receives a message, or returns how the stream ended.
func (s *typedStream) RecvMsg(message any) error {
	err := s.ClientStream.RecvMsg(message)
	if err == nil {
		return nil
	}
	s.cancel()
	if errors.Is(err, io.EOF) {
		return err
	}
	return s.client.failure(s.ctx, err)
}

// SendMsg sends a message. It returns io.EOF if the stream has ended, and RecvMsg then returns why.
func (s *typedStream) SendMsg(message any) error {
	err := s.ClientStream.SendMsg(message)
	if err == nil || errors.Is(err, io.EOF) {
		return err
	}
	return s.client.failure(s.ctx, err)
}
