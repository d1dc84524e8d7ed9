/**
 * A client of the coordination ledger: stubs with safe retries, timelines, emission and leases.
 *
 * <p>{@link io.github.orchestrationledger.client.LedgerClient} opens a connection and has the
 * generated stubs. What a stub alone does not do is beside it: all pages of a list, a timeline that
 * resumes, the emission of many events, and work on claimed tasks whose leases are kept.
 */
package io.github.orchestrationledger.client;
