package orchestration

import (
	"context"
	"errors"
	"fmt"
	"time"

	rpccode "google.golang.org/genproto/googleapis/rpc/code"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	v1 "github.com/orchestration-ledger/orchestration/clients/go/orchestrationv1"
)

// Errors that the client raises by itself. The errors of its methods wrap them: test with [errors.Is].
var (
	// ErrInvalid means that a setting or an argument cannot be right. Nothing was sent.
	ErrInvalid = errors.New("invalid")
	// ErrLeaseLost means that the lease of the work is lost. Stop the work: another agent may have the task.
	ErrLeaseLost = errors.New("the lease is lost")
	// ErrClosed means that the client is closed.
	ErrClosed = errors.New("the client is closed")
	// ErrNoWork means that no task was ready in time.
	ErrNoWork = errors.New("no task is ready")
)

// Error is an error of the ledger or of the transport. Get it from an error of a call by [errors.As]. The functions of
// package status of gRPC understand it, too.
type Error struct {
	// Code is the status code.
	Code codes.Code
	// Reason is stable and meant for programs, such as "STALE_REVISION". It is empty if the error came from the
	// transport.
	Reason string
	// Message tells people what is wrong.
	Message string
	// Metadata has the values that belong to the reason, such as "current_revision".
	Metadata map[string]string
	// Violations has descriptions of what is wrong, by path in the request.
	Violations map[string]string
	// Resource is what the error is about, or nil.
	Resource *Resource
	// Retryable is true if the server said that the same request may succeed later.
	Retryable bool
	// RetryDelay is the time after which to send the request again. It is 0 if the server named none.
	RetryDelay time.Duration

	cause error
}

// Resource is the resource that an [Error] is about.
type Resource struct {
	// Type is the kind of resource, such as "task".
	Type string
	// Name is the code or the id of the resource.
	Name string
}

// Error returns the reason, or else the name of the code, and the message.
func (e *Error) Error() string {
	name := e.Reason
	if name == "" {
		name = e.CodeName()
	}
	if e.Message == "" {
		return name
	}
	return name + ": " + e.Message
}

// CodeName returns the name of the code as the API writes it, such as "NOT_FOUND".
func (e *Error) CodeName() string {
	return rpccode.Code(e.Code).String()
}

// Unwrap returns the error of the context if the context ended the call, or else that of gRPC.
func (e *Error) Unwrap() error {
	return e.cause
}

// GRPCStatus returns the status of the call, for package status of gRPC.
func (e *Error) GRPCStatus() *status.Status {
	var call interface{ GRPCStatus() *status.Status }
	if errors.As(e.cause, &call) {
		return call.GRPCStatus()
	}
	return status.New(e.Code, e.Message)
}

// invalid returns an error that wraps ErrInvalid.
func invalid(format string, values ...any) error {
	return fmt.Errorf("%w: %s", ErrInvalid, fmt.Sprintf(format, values...))
}

// asError returns the details of the error of a call. ctx is that of the caller.
func asError(ctx context.Context, err error) *Error {
	var known *Error
	if errors.As(err, &known) {
		return known
	}
	call := status.Convert(err)
	made := &Error{Code: call.Code(), Message: call.Message(), cause: err}
	if ended := ctx.Err(); ended != nil && (made.Code == codes.Canceled || made.Code == codes.DeadlineExceeded) {
		made.cause = ended
	}
	for _, detail := range call.Details() {
		made.add(detail)
	}
	return made
}

func (e *Error) add(detail any) {
	switch detail := detail.(type) {
	case *errdetails.ErrorInfo:
		e.Reason, e.Metadata = detail.GetReason(), detail.GetMetadata()
	case *errdetails.BadRequest:
		e.Violations = make(map[string]string, len(detail.GetFieldViolations()))
		for _, violation := range detail.GetFieldViolations() {
			e.Violations[violation.GetField()] = violation.GetDescription()
		}
	case *errdetails.ResourceInfo:
		e.Resource = &Resource{Type: detail.GetResourceType(), Name: detail.GetResourceName()}
	case *errdetails.RetryInfo:
		e.Retryable, e.RetryDelay = true, detail.GetRetryDelay().AsDuration()
	}
}

// emitError returns the error of a message of EmitEvents that the server refused.
func emitError(refused *v1.EmitError, metadata map[string]string) *Error {
	return &Error{
		Code:       codes.Code(refused.GetCode()),
		Reason:     refused.GetReason(),
		Message:    refused.GetMessage(),
		Metadata:   metadata,
		Violations: refused.GetViolations(),
		Retryable:  refused.GetRetryable(),
	}
}

// ended is the failure of a stream that the server ended without an error.
func ended() *Error {
	return &Error{Code: codes.Unavailable, Message: "the server ended the stream"}
}
