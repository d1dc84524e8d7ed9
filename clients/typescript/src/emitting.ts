import { create, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import type { Client as Stub } from "@connectrpc/connect";
import { anySignal, pause } from "./clock.js";
import { cancelled, ledgerError, LedgerError, LocalError, statusCode, streamEnded } from "./errors.js";
import {
  type EmitEventsRequest,
  EmitEventsRequestSchema,
  type EmitEventsResponse,
  type EventService,
  type NewEvent,
  NewEventSchema,
} from "./gen/orchestration/v1/event_pb.js";
import { StreamRetry } from "./retry.js";
import { checkText, copyOf, newRequestId } from "./transport.js";

/** The most events of one message. */
const MAX_BATCH = 500;
const IN_FLIGHT = 4;
// Below the 4 MB that a gRPC server accepts by default.
const MAX_BYTES = 2 * 1024 * 1024;
// If a server stops answering, the stream ends after this time, and unanswered messages are sent again.
const STREAM_MS = 120_000;

/** An event to store, as a message or as an object with its fields. */
export type EventInput = MessageInitShape<typeof NewEventSchema>;

/** Options of emitAll. */
export interface EmitOptions {
  /** The most events of one message: 1 to 500, which is the default. */
  batch?: number | undefined;
  /** The milliseconds without an answer after which the call gives up; the default is 60,000. */
  retryTimeoutMs?: number | undefined;
  /** Ends the call with CANCELLED when it is aborted. Events may be stored by then. */
  signal?: AbortSignal | undefined;
}

/** The numbers of events by what became of them. */
export interface EmitTotals {
  /** The number of events that were stored. */
  readonly stored: number;
  /** The number of events whose dedup_key existed already. */
  readonly duplicates: number;
  /** The number of events that sampling left out. */
  readonly sampledOut: number;
}

/** Pack events into messages of limited length and size, each with a request_id. */
async function* messagesOf(
  events: Iterable<EventInput> | AsyncIterable<EventInput>,
  size: number,
): AsyncGenerator<EmitEventsRequest, void, undefined> {
  let batch: NewEvent[] = [];
  let bytes = 0;
  const flush = (): EmitEventsRequest => {
    const message = create(EmitEventsRequestSchema, { requestId: newRequestId(), events: batch });
    batch = [];
    bytes = 0;
    return message;
  };
  for await (const input of events) {
    const event = copyOf(NewEventSchema, input);
    checkText(event, "an event");
    const length = toBinary(NewEventSchema, event).byteLength;
    if (batch.length > 0 && (batch.length >= size || bytes + length > MAX_BYTES)) {
      yield flush();
    }
    batch.push(event);
    bytes += length;
  }
  if (batch.length > 0) {
    yield flush();
  }
}

/** The messages that wait for an answer, oldest first, and the totals of the answers so far. */
class Outbox {
  readonly pending = new Map<string, EmitEventsRequest>();
  readonly totals = { stored: 0, duplicates: 0, sampledOut: 0 };
  readonly #retry: StreamRetry;
  readonly #offsets = new Map<string, number>();
  #taken = 0;

  constructor(retry: StreamRetry) {
    this.#retry = retry;
  }

  get full(): boolean {
    return this.pending.size >= IN_FLIGHT;
  }

  add(message: EmitEventsRequest): void {
    this.pending.set(message.requestId, message);
    this.#offsets.set(message.requestId, this.#taken);
    this.#taken += message.events.length;
  }

  /**
   * Take an answer, or the error that broke the stream. Return the milliseconds after which to send all waiting messages
   * again, or undefined if there is no need. Throws if sending again would not help.
   */
  take(answer: EmitEventsResponse | LedgerError): number | undefined {
    if (answer instanceof LedgerError) {
      return this.#retry.pause(answer);
    }
    const { requestId } = answer;
    if (!this.pending.has(requestId)) {
      return undefined;
    }
    if (answer.error) {
      const error = new LedgerError({
        code: statusCode(answer.error.code),
        message: answer.error.message,
        reason: answer.error.reason,
        violations: answer.error.violations,
        metadata: { request_id: requestId, first_event: String(this.#offsets.get(requestId)) },
      });
      if (!answer.error.retryable) {
        throw error;
      }
      return this.#retry.pause(error, true);
    }
    this.#retry.progress();
    this.totals.stored += answer.stored;
    this.totals.duplicates += answer.duplicates;
    this.totals.sampledOut += answer.sampledOut;
    this.pending.delete(requestId);
    this.#offsets.delete(requestId);
    return undefined;
  }
}

/** A queue of messages that connect empties into a stream. */
class Outgoing implements AsyncIterable<EmitEventsRequest> {
  readonly #waiting: EmitEventsRequest[] = [];
  #ended = false;
  #wake: (() => void) | undefined;

  push(message: EmitEventsRequest): void {
    this.#waiting.push(message);
    this.#wake?.();
  }

  end(): void {
    this.#ended = true;
    this.#wake?.();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<EmitEventsRequest, void, undefined> {
    for (;;) {
      const message = this.#waiting.shift();
      if (message) {
        yield message;
      } else if (this.#ended) {
        return;
      } else {
        await new Promise<void>((resolve) => (this.#wake = resolve));
      }
    }
  }
}

/** A call of EmitEvents. */
class EmitStream {
  readonly #outgoing = new Outgoing();
  readonly #end = new AbortController();
  readonly #answers: AsyncIterator<EmitEventsResponse, unknown>;

  constructor(stub: Stub<typeof EventService>, first: Iterable<EmitEventsRequest>, signal: AbortSignal) {
    for (const message of first) {
      this.#outgoing.push(message);
    }
    const options = { signal: anySignal(this.#end.signal, signal), timeoutMs: STREAM_MS };
    this.#answers = stub.emitEvents(this.#outgoing, options)[Symbol.asyncIterator]();
  }

  send(message: EmitEventsRequest): void {
    this.#outgoing.push(message);
  }

  /** Wait for the next answer. If the stream has ended, return the error. */
  async receive(): Promise<EmitEventsResponse | LedgerError> {
    try {
      const answer = await this.#answers.next();
      return answer.done ? streamEnded() : answer.value;
    } catch (thrown) {
      const error = ledgerError(thrown);
      if (error instanceof LocalError) {
        throw error;
      }
      return error;
    }
  }

  /** Tell the server that there are no more messages, and wait for the end of the stream. */
  async finish(): Promise<void> {
    this.#outgoing.end();
    // All messages are answered, so the outcome is irrelevant.
    while (!((await this.receive()) instanceof LedgerError));
  }

  /** Cancel the call. */
  abandon(): void {
    this.#outgoing.end();
    this.#end.abort();
  }
}

/** Return what a promise has, unless the signal is aborted before: then throw CANCELLED. */
async function unlessAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const end = (): void => {
      reject(cancelled(signal));
    };
    signal.addEventListener("abort", end);
    void promise.then(resolve, reject).finally(() => {
      signal.removeEventListener("abort", end);
    });
    if (signal.aborted) {
      end();
    }
  });
}

/** Store all events over one stream, as emitAll of the client describes. */
export async function emitAll(
  stub: Stub<typeof EventService>,
  events: Iterable<EventInput> | AsyncIterable<EventInput>,
  options: EmitOptions,
  warn: (message: string) => void,
  closed: AbortSignal,
): Promise<EmitTotals> {
  const { batch = MAX_BATCH, retryTimeoutMs = 60_000 } = options;
  const signal = anySignal(closed, options.signal);
  if (!Number.isInteger(batch) || batch < 1 || batch > MAX_BATCH) {
    throw new LocalError("INVALID", `batch is an integer from 1 to ${MAX_BATCH}, not ${batch}`);
  }
  const outbox = new Outbox(new StreamRetry(retryTimeoutMs, warn));
  const messages = messagesOf(events, batch);
  let stream: EmitStream | undefined;
  try {
    for (;;) {
      while (!outbox.full) {
        const { done, value } = await unlessAborted(messages.next(), signal);
        if (done) {
          break;
        }
        outbox.add(value);
        stream?.send(value);
      }
      if (outbox.pending.size === 0) {
        break;
      }
      stream ??= new EmitStream(stub, outbox.pending.values(), signal);
      const answer = await stream.receive();
      if (signal.aborted) {
        throw cancelled(signal);
      }
      const delay = outbox.take(answer);
      if (delay !== undefined) {
        stream.abandon();
        stream = undefined;
        await pause(delay, signal);
      }
    }
    await stream?.finish();
    return outbox.totals;
  } finally {
    stream?.abandon();
    const left = messages.return();
    // A caller that has cancelled does not wait for an iterator that blocks.
    await (signal.aborted ? undefined : left);
    left.catch(() => undefined);
  }
}
