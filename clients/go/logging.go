package orchestration

import (
	"context"
	"fmt"
	"reflect"
	"strconv"

	"google.golang.org/protobuf/types/known/structpb"

	v1 "github.com/orchestration-ledger/orchestration/clients/go/orchestrationv1"
)

// LoggedType is the type of the events of [Work.Log] if the client has no session.
const LoggedType = "agent.work.logged"

// wholeBelow is the number from which on two whole numbers may be the same double.
const wholeBelow = 1 << 53

// Log logs what the agent did, as an activity of the client's session or, without one, as an event about the task. fields
// are pairs of a name and a JSON value, as those of package slog, which the payload of the event gets:
//
//	work.Log(ctx, "half done", "files", 3)
func (w *Work) Log(ctx context.Context, message string, fields ...any) error {
	return w.LogKind(ctx, "note", message, fields...)
}

// LogKind logs as Log does, with another kind of activity than "note", such as "decision".
func (w *Work) LogKind(ctx context.Context, kind, message string, fields ...any) error {
	payload, err := pairs(fields)
	if err != nil {
		return err
	}
	if w.session != "" {
		_, err = w.client.Sessions.LogActivity(ctx, &v1.LogActivityRequest{
			SessionKey: w.session, Kind: kind, Message: message, Payload: payload,
		})
		return err
	}
	logged := &structpb.Struct{Fields: map[string]*structpb.Value{
		"kind":    structpb.NewStringValue(kind),
		"message": structpb.NewStringValue(message),
		"fence":   structpb.NewStringValue(strconv.FormatInt(w.Fence(), 10)),
	}}
	if payload != nil {
		logged.Fields["payload"] = structpb.NewStructValue(payload)
	}
	_, err = w.client.Events.EmitEvent(ctx, &v1.EmitEventRequest{Event: &v1.NewEvent{
		Type: LoggedType, EntityType: v1.EntityType_ENTITY_TYPE_TASK, EntityCode: w.Code(), Payload: logged,
	}})
	return err
}

// pairs returns a Struct of names and values that alternate; nil if there are none.
func pairs(fields []any) (*structpb.Struct, error) {
	if len(fields) == 0 {
		return nil, nil
	}
	if len(fields)%2 != 0 {
		return nil, invalid("the fields of a log are pairs of a name and a value, and %v has no value", fields[len(fields)-1])
	}
	values := make(map[string]any, len(fields)/2)
	for index := 0; index < len(fields); index += 2 {
		name, ok := fields[index].(string)
		if !ok {
			return nil, invalid("%v is no name of a field", fields[index])
		}
		values[name] = fields[index+1]
	}
	return NewStruct(values)
}

// NewStruct returns the Struct of JSON values, for payloads, metadata and settings. The numbers of a Struct are doubles: a
// whole number that a double cannot hold, from 2^53 on, is an error, and so is a value that JSON does not have.
func NewStruct(values map[string]any) (*structpb.Struct, error) {
	if err := checkNumbers("", values); err != nil {
		return nil, err
	}
	made, err := structpb.NewStruct(values)
	if err != nil {
		return nil, invalid("%v", err)
	}
	return made, nil
}

// checkNumbers returns an error if a whole number in a JSON value would change.
func checkNumbers(path string, value any) error {
	switch value := value.(type) {
	case map[string]any:
		for name, item := range value {
			if err := checkNumbers(path+"."+name, item); err != nil {
				return err
			}
		}
	case []any:
		for index, item := range value {
			if err := checkNumbers(fmt.Sprintf("%s[%d]", path, index), item); err != nil {
				return err
			}
		}
	default:
		if !fits(reflect.ValueOf(value)) {
			return invalid("%s: %v does not fit into a double: send it as a string", path, value)
		}
	}
	return nil
}

func fits(value reflect.Value) bool {
	switch {
	case !value.IsValid():
		return true
	case value.CanInt():
		return value.Int() > -wholeBelow && value.Int() < wholeBelow
	case value.CanUint():
		return value.Uint() < wholeBelow
	default:
		return true
	}
}
