// Package orchestration is the Go client of the orchestration ledger, which keeps the work of a fleet of agents: what
// the tasks are, who holds them, what happened.
//
// [Open] returns a [Client], whose fields are the generated stubs of every service, of package orchestrationv1. To each
// call it adds the caller's metadata, a deadline and a request_id, so that a call that is retried takes effect once. On
// top of the stubs it has what a client must not get wrong:
//
//   - iteration over all pages of a list, such as [Client.ListTasks];
//   - a [Timeline], which returns each event once, across broken connections and replaced servers;
//   - [Client.EmitAll], which stores any number of events, each once;
//   - [Client.Claim] and [Client.Claims], which keep the leases of claimed [Work] by heartbeats and send its fence.
//
// Errors of calls are of the type [Error], with the stable reason of the ledger. Every wait ends with its context.
package orchestration
