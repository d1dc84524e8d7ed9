// Package fakeledger is a gRPC server whose answers a test writes.
package fakeledger

import (
	"context"
	"net"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
)

// Unary answers a unary call.
type Unary func(ctx context.Context, request proto.Message) (proto.Message, error)

// Answer returns the handler of a function with the types of one rpc.
func Answer[Request, Response proto.Message](answer func(context.Context, Request) (Response, error)) Unary {
	return func(ctx context.Context, request proto.Message) (proto.Message, error) {
		return answer(ctx, request.(Request))
	}
}

// Ledger has the handlers of a server by method, such as "TaskService/GetTask". Other methods are UNIMPLEMENTED.
type Ledger struct {
	Unary  map[string]Unary
	Stream map[string]func(grpc.ServerStream) error
}

// Start serves until the end of the test, and returns the address.
func (l Ledger) Start(t testing.TB) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer(grpc.UnknownServiceHandler(l.handle))
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = server.Serve(listener)
	}()
	t.Cleanup(func() { server.Stop(); <-done })
	return listener.Addr().String()
}

func (l Ledger) handle(_ any, stream grpc.ServerStream) error {
	full, _ := grpc.MethodFromServerStream(stream)
	method := strings.TrimPrefix(full, "/orchestration.v1.")
	if handler, known := l.Stream[method]; known {
		return handler(stream)
	}
	handler, known := l.Unary[method]
	if !known {
		return status.Errorf(codes.Unimplemented, "the fake has no %s", method)
	}
	request, err := requestOf(method)
	if err != nil {
		return err
	}
	if err := stream.RecvMsg(request); err != nil {
		return err
	}
	response, err := handler(stream.Context(), request)
	if err != nil {
		return err
	}
	return stream.SendMsg(response)
}

func requestOf(method string) (proto.Message, error) {
	name := protoreflect.FullName("orchestration.v1." + strings.ReplaceAll(method, "/", "."))
	found, err := protoregistry.GlobalFiles.FindDescriptorByName(name)
	if err != nil {
		return nil, err
	}
	kind, err := protoregistry.GlobalTypes.FindMessageByName(found.(protoreflect.MethodDescriptor).Input().FullName())
	if err != nil {
		return nil, err
	}
	return kind.New().Interface(), nil
}
