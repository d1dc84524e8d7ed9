package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"strconv"
	"sync"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/fieldmaskpb"

	orchestration "github.com/orchestration-ledger/orchestration/clients/go"
	v1 "github.com/orchestration-ledger/orchestration/clients/go/orchestrationv1"
)

const (
	soakBatch = 20
	// soakReturned is the share of the claimed tasks that is given back: each fourth.
	soakReturned = 4
	// soakPause is between two rounds of a caller, and between two events.
	soakPause = 5 * time.Millisecond
	// soakRest is the time after the soak in which the last events may arrive.
	soakRest   = 30 * time.Second
	soakErrors = 5
)

// soak works as an agent would, and counts.
type soak struct {
	client  *orchestration.Client
	name    string
	label   string
	until   context.Context
	counted sync.Mutex // guards the following
	calls   int
	failed  int
	errors  []string
	claimed int
	held    [][]any

	// The emitter owns emitted until it has ended.
	emitted int
}

func (d *driver) soak(ctx context.Context, given command) (any, error) {
	client, err := d.clients.get(given.Client)
	if err != nil {
		return nil, err
	}
	until, stop := context.WithTimeout(ctx, seconds(given.Seconds))
	defer stop()
	running := &soak{
		client: client, name: given.Name, label: cmp.Or(given.Label, given.Name), until: until,
		errors: []string{}, held: [][]any{},
	}
	reader := newSoakReader(client, given.Name)
	var writers sync.WaitGroup
	for _, work := range []func(context.Context){running.write, running.emit, running.claim} {
		writers.Go(func() { work(ctx) })
	}
	writers.Wait()
	if err := reader.finish(running.emitted); err != nil {
		running.count(err)
	}
	return object{
		"calls": running.calls, "failed": running.failed, "errors": running.errors,
		"emitted": running.emitted, "seen": reader.all, "repeated": reader.all - len(reader.numbers),
		"missed":  running.emitted - len(reader.numbers),
		"claimed": running.claimed, "held": running.held,
	}, nil
}

// count counts a call that ended with err.
func (s *soak) count(err error) bool {
	s.counted.Lock()
	defer s.counted.Unlock()
	s.calls++
	if err == nil {
		return true
	}
	s.failed++
	if len(s.errors) < soakErrors {
		s.errors = append(s.errors, err.Error())
	}
	return false
}

// rest waits for the next round. It returns false if the soak is over.
func (s *soak) rest() bool {
	select {
	case <-s.until.Done():
		return false
	case <-time.After(soakPause):
		return true
	}
}

// write creates, reads and updates tasks.
func (s *soak) write(ctx context.Context) {
	for number := 0; s.rest(); number++ {
		code := s.name + "-" + strconv.Itoa(number)
		task := &v1.Task{Code: code, Title: "Soak", Labels: []string{s.label}}
		_, err := s.client.Tasks.CreateTask(ctx, &v1.CreateTaskRequest{Task: task})
		if !s.count(err) {
			continue
		}
		read, err := s.client.Tasks.GetTask(ctx, &v1.GetTaskRequest{TaskCode: code})
		if title := read.GetTask().GetTitle(); err == nil && title != task.GetTitle() {
			err = fmt.Errorf("the title is %q, not %q", title, task.GetTitle())
		}
		s.count(err)
		_, err = s.client.Tasks.UpdateTask(ctx, &v1.UpdateTaskRequest{
			Task:       &v1.Task{Code: code, Title: "Soaked"},
			UpdateMask: &fieldmaskpb.FieldMask{Paths: []string{"title"}},
		})
		s.count(err)
	}
}

// emit stores events whose payload numbers them, over one stream as long as none fails.
func (s *soak) emit(ctx context.Context) {
	for s.rest() {
		totals, err := s.client.EmitAll(ctx, s.steps(), orchestration.WithBatch(soakBatch))
		if err == nil && totals.Duplicates+totals.SampledOut > 0 {
			err = fmt.Errorf("events were not stored as new: %+v", totals)
		}
		s.count(err)
	}
}

// steps returns the next events until the soak is over.
func (s *soak) steps() iter.Seq[*v1.NewEvent] {
	return func(yield func(*v1.NewEvent) bool) {
		for s.rest() {
			for event := range numbered(s.name+".step", s.emitted, 1) {
				s.emitted++
				if !yield(event) {
					return
				}
			}
			if s.emitted%soakBatch == 0 {
				s.count(nil)
			}
		}
	}
}

// claim claims the tasks, gives back each fourth and finishes the others, and records from when to when it held each.
func (s *soak) claim(ctx context.Context) {
	request := &v1.ClaimTaskRequest{Labels: []string{s.label}, Wait: durationpb.New(time.Second)}
	for number := 1; s.rest(); {
		work, err := s.client.Claim(ctx, request)
		if errors.Is(err, orchestration.ErrNoWork) {
			s.count(nil)
			continue
		}
		if !s.count(err) {
			continue
		}
		start := now()
		s.count(work.Log(ctx, "soaking"))
		end := now()
		if number%soakReturned == 0 {
			_, err = work.Return(ctx, "soaked enough")
		} else {
			_, err = work.Finish(ctx, "soaked")
		}
		s.count(err)
		number++
		s.counted.Lock()
		s.claimed++
		s.held = append(s.held, []any{work.Code(), strconv.FormatInt(work.Fence(), 10), start, end})
		s.counted.Unlock()
	}
}

func now() float64 {
	return float64(time.Now().UnixNano()) / float64(time.Second)
}

// soakReader follows the events of the soak, and counts their numbers.
type soakReader struct {
	timeline *orchestration.Timeline
	done     chan struct{}
	err      error

	counted  sync.Mutex // guards the following
	all      int
	numbers  map[int]bool
	expected int
	complete chan struct{}
}

func newSoakReader(client *orchestration.Client, name string) *soakReader {
	reader := &soakReader{
		timeline: client.Follow(&v1.StreamTimelineRequest{
			Filter: &v1.EventFilter{Types: []string{name + ".step"}}, Follow: true,
		}),
		done: make(chan struct{}), numbers: make(map[int]bool), expected: -1, complete: make(chan struct{}),
	}
	go reader.run()
	return reader
}

func (r *soakReader) run() {
	defer close(r.done)
	for event, err := range r.timeline.All(context.Background()) {
		if err != nil {
			r.err = err
			return
		}
		r.counted.Lock()
		r.all++
		r.numbers[int(event.GetPayload().GetFields()["n"].GetNumberValue())] = true
		r.check()
		r.counted.Unlock()
	}
}

// check closes complete as soon as all events have been seen.
func (r *soakReader) check() {
	if r.expected >= 0 && len(r.numbers) >= r.expected {
		r.expected = -1
		close(r.complete)
	}
}

// finish waits until all events were seen, and ends the timeline.
func (r *soakReader) finish(expected int) error {
	r.counted.Lock()
	r.expected = expected
	r.check()
	r.counted.Unlock()
	var err error
	select {
	case <-r.complete:
	case <-r.done:
	case <-time.After(soakRest):
		err = errors.New("not all events arrived in time")
	}
	r.timeline.Close()
	<-r.done
	if r.err != nil {
		err = fmt.Errorf("the timeline ended: %w", r.err)
	}
	return err
}
