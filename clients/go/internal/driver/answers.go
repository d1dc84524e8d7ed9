package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	orchestration "github.com/orchestration-ledger/orchestration/clients/go"
)

// failure is an error as an answer has it.
type failure struct {
	Code       string            `json:"code"`
	Reason     string            `json:"reason"`
	Message    string            `json:"message"`
	Metadata   map[string]string `json:"metadata"`
	Violations map[string]string `json:"violations"`
	Resource   *resource         `json:"resource,omitempty"`
	RetryDelay *float64          `json:"retryDelay,omitempty"`
}

type resource struct {
	Type string `json:"type"`
	Name string `json:"name"`
}

func errorAnswer(err error) failure {
	answer := failure{Code: "LOCAL", Message: err.Error(), Metadata: map[string]string{}, Violations: map[string]string{}}
	var call *orchestration.Error
	switch {
	case errors.As(err, &call):
		answer.fill(call)
	case errors.Is(err, orchestration.ErrClosed):
		answer.Reason = "CLOSED"
	case errors.Is(err, orchestration.ErrLeaseLost):
		answer.Reason = "LEASE_LOST"
	case errors.Is(err, orchestration.ErrInvalid):
		answer.Reason = "INVALID"
	case errors.Is(err, context.DeadlineExceeded):
		answer.Code = "DEADLINE_EXCEEDED"
	case errors.Is(err, context.Canceled):
		answer.Code = "CANCELLED"
	}
	return answer
}

func (f *failure) fill(call *orchestration.Error) {
	f.Code, f.Reason, f.Message = call.CodeName(), call.Reason, call.Message
	if call.Metadata != nil {
		f.Metadata = call.Metadata
	}
	if call.Violations != nil {
		f.Violations = call.Violations
	}
	if call.Resource != nil {
		f.Resource = &resource{Type: call.Resource.Type, Name: call.Resource.Name}
	}
	if call.Retryable && call.Code != codes.OK {
		seconds := call.RetryDelay.Seconds()
		f.RetryDelay = &seconds
	}
}

// decode fills a message from JSON; nothing is an empty message.
func decode(given json.RawMessage, message proto.Message) error {
	if len(given) == 0 {
		return nil
	}
	if err := protojson.Unmarshal(given, message); err != nil {
		return fmt.Errorf("%w: %w", orchestration.ErrInvalid, err)
	}
	return nil
}

// encode returns messages as JSON.
func encode[Message proto.Message](messages ...Message) ([]json.RawMessage, error) {
	encoded := make([]json.RawMessage, 0, len(messages))
	for _, message := range messages {
		text, err := protojson.Marshal(message)
		if err != nil {
			return nil, err
		}
		encoded = append(encoded, text)
	}
	return encoded, nil
}

// messagesOf returns new messages for the request and the response of a method such as "TaskService/GetTask".
func messagesOf(method string) (request, response proto.Message, err error) {
	service, name, _ := strings.Cut(method, "/")
	found, err := protoregistry.GlobalFiles.FindDescriptorByName(protoreflect.FullName("orchestration.v1." + service))
	if err != nil {
		return nil, nil, fmt.Errorf("%w: no service %q", orchestration.ErrInvalid, service)
	}
	described, ok := found.(protoreflect.ServiceDescriptor)
	if !ok || described.Methods().ByName(protoreflect.Name(name)) == nil {
		return nil, nil, fmt.Errorf("%w: no method %q", orchestration.ErrInvalid, method)
	}
	rpc := described.Methods().ByName(protoreflect.Name(name))
	if request, err = newMessage(rpc.Input()); err != nil {
		return nil, nil, err
	}
	response, err = newMessage(rpc.Output())
	return request, response, err
}

func newMessage(described protoreflect.MessageDescriptor) (proto.Message, error) {
	kind, err := protoregistry.GlobalTypes.FindMessageByName(described.FullName())
	if err != nil {
		return nil, err
	}
	return kind.New().Interface(), nil
}
