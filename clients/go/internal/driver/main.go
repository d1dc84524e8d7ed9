// Command driver carries out the commands of the conformance suite, which clients/conformance/README.md describes.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"sync"

	orchestration "github.com/orchestration-ledger/orchestration/clients/go"
)

const longestLine = 64 << 20

func main() {
	if err := newDriver(os.Stdout, os.Getenv("CONFORMANCE_FAULT")).run(os.Stdin); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// command is one line of the input. Its fields are those of all operations.
type command struct {
	ID          json.RawMessage   `json:"id"`
	Op          string            `json:"op"`
	Client      string            `json:"client"`
	Address     string            `json:"address"`
	Token       string            `json:"token"`
	Project     string            `json:"project"`
	Agent       string            `json:"agent"`
	Session     string            `json:"session"`
	Correlation string            `json:"correlation"`
	CA          string            `json:"ca"`
	Cert        string            `json:"cert"`
	Key         string            `json:"key"`
	Timeout     float64           `json:"timeout"`
	Method      string            `json:"method"`
	Request     json.RawMessage   `json:"request"`
	Call        string            `json:"call"`
	Limit       int               `json:"limit"`
	Follower    string            `json:"follower"`
	Count       int               `json:"count"`
	Events      []json.RawMessage `json:"events"`
	Type        string            `json:"type"`
	Batch       int               `json:"batch"`
	Work        string            `json:"work"`
	Task        json.RawMessage   `json:"task"`
	Message     string            `json:"message"`
	Reason      string            `json:"reason"`
	Seconds     float64           `json:"seconds"`
	Name        string            `json:"name"`
	Label       string            `json:"label"`
}

// driver has the clients, and what was opened with them, by their names in the commands.
type driver struct {
	fault string

	writing sync.Mutex
	output  *json.Encoder

	clients   names[*orchestration.Client]
	followers names[*follower]
	works     names[*orchestration.Work]
	calls     names[context.CancelFunc]
}

func newDriver(output io.Writer, fault string) *driver {
	made := &driver{fault: fault, output: json.NewEncoder(output)}
	made.output.SetEscapeHTML(false)
	return made
}

// run carries out the commands of the input, all at once, and ends with it.
func (d *driver) run(input io.Reader) error {
	lines := bufio.NewScanner(input)
	lines.Buffer(nil, longestLine)
	for lines.Scan() {
		var given command
		if err := json.Unmarshal(lines.Bytes(), &given); err != nil {
			return fmt.Errorf("a command is no JSON object: %w", err)
		}
		ctx, cancel := context.WithCancel(context.Background())
		if given.Call != "" && given.Op == "call" {
			d.calls.set(given.Call, cancel) // before the next command, which may cancel it
		}
		go func() {
			defer cancel()
			answer, err := d.do(ctx, given)
			d.answer(given.ID, answer, err)
		}()
	}
	return lines.Err()
}

func (d *driver) answer(id json.RawMessage, answer any, err error) {
	d.writing.Lock()
	defer d.writing.Unlock()
	line := map[string]any{"id": id, "ok": answer}
	if err != nil {
		line = map[string]any{"id": id, "error": errorAnswer(err)}
	}
	if failed := d.output.Encode(line); failed != nil {
		fmt.Fprintln(os.Stderr, "cannot write an answer:", failed)
	}
}

func (d *driver) do(ctx context.Context, given command) (any, error) {
	operation, known := operations[given.Op]
	if !known {
		return nil, fmt.Errorf("%w: no operation %q", orchestration.ErrInvalid, given.Op)
	}
	return operation(d, ctx, given)
}

// operations are the operations by name.
var operations = map[string]func(*driver, context.Context, command) (any, error){
	"open": (*driver).open, "close": (*driver).close, "call": (*driver).call, "cancel": (*driver).cancel,
	"list": (*driver).list, "follow": (*driver).follow, "next": (*driver).next, "unfollow": (*driver).unfollow,
	"emitAll": (*driver).emitAll, "claim": (*driver).claim, "claims": (*driver).claims, "log": (*driver).log,
	"update": (*driver).update, "finish": (*driver).finish, "return": (*driver).giveBack, "fail": (*driver).fail,
	"block": (*driver).block, "state": (*driver).state, "awaitLost": (*driver).awaitLost,
	"abandon": (*driver).abandon, "soak": (*driver).soak,
}

// names is a map for many goroutines.
type names[Value any] struct {
	lock   sync.Mutex
	values map[string]Value
}

func (n *names[Value]) set(name string, value Value) {
	n.lock.Lock()
	defer n.lock.Unlock()
	if n.values == nil {
		n.values = make(map[string]Value)
	}
	n.values[name] = value
}

func (n *names[Value]) get(name string) (Value, error) {
	n.lock.Lock()
	defer n.lock.Unlock()
	value, known := n.values[name]
	if !known {
		return value, fmt.Errorf("%w: nothing is named %q", orchestration.ErrInvalid, name)
	}
	return value, nil
}
