// Package orchestrationv1 has the generated messages and stubs of the orchestration ledger's API, orchestration.v1.
//
// The package above it opens their connection, and adds what a client must not get wrong.
package orchestrationv1
