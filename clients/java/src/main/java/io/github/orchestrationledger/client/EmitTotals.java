package io.github.orchestrationledger.client;

/**
 * The numbers of events that an emission sent, by what became of them.
 *
 * @param stored the events that were stored
 * @param duplicates the events whose dedup_key existed already
 * @param sampledOut the events that sampling left out and counted
 */
public record EmitTotals(long stored, long duplicates, long sampledOut) {
  EmitTotals plus(long stored, long duplicates, long sampledOut) {
    return new EmitTotals(
        this.stored + stored, this.duplicates + duplicates, this.sampledOut + sampledOut);
  }
}
