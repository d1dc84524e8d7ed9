import type { MessageInitShape } from "@bufbuild/protobuf";
import type { Client as Stub } from "@connectrpc/connect";
import { anySignal, pause } from "./clock.js";
import { cancelled, ledgerError, LocalError, streamEnded } from "./errors.js";
import {
  type Event,
  type EventService,
  type StreamTimelineRequest,
  StreamTimelineRequestSchema,
  type StreamTimelineResponse,
} from "./gen/orchestration/v1/event_pb.js";
import { StreamRetry } from "./retry.js";
import { copyOf } from "./transport.js";

/** Options of a {@link Timeline}. */
export interface FollowOptions {
  /** The milliseconds without a server after which the iteration throws. The default retries for ever. */
  retryTimeoutMs?: number | undefined;
  /** Ends the iteration with CANCELLED when it is aborted. */
  signal?: AbortSignal | undefined;
}

/**
 * An iterator over events, in the order of the log: each event once, across broken connections and replaced servers.
 *
 * It throws a LedgerError if the timeline cannot go on: the position is not live any more, the filter is invalid, the
 * caller may not read it, or retryTimeoutMs has passed. To leave the loop ends it, as close does.
 */
export class Timeline implements AsyncIterableIterator<Event> {
  readonly #stub: Stub<typeof EventService>;
  readonly #request: StreamTimelineRequest;
  readonly #retry: StreamRetry;
  readonly #given: AbortSignal | undefined;
  readonly #end = new AbortController();
  readonly #signal: AbortSignal;
  readonly #events: AsyncGenerator<Event, void, undefined>;
  #messages: AsyncIterator<StreamTimelineResponse, unknown> | undefined;
  #cursor: string;
  #caughtUp = false;

  /** @internal */
  constructor(
    stub: Stub<typeof EventService>,
    request: MessageInitShape<typeof StreamTimelineRequestSchema>,
    options: FollowOptions,
    warn: (message: string) => void,
  ) {
    this.#stub = stub;
    this.#request = copyOf(StreamTimelineRequestSchema, request);
    this.#request.follow = request.follow ?? true;
    this.#retry = new StreamRetry(options.retryTimeoutMs ?? Infinity, warn);
    this.#given = options.signal;
    this.#signal = anySignal(this.#end.signal, options.signal);
    this.#cursor = this.#request.start.case === "afterCursor" ? this.#request.start.value : "";
    this.#events = this.#iterate();
  }

  /**
   * The position to store and to resume from, as afterCursor. It is that of the last event that was returned, and it also
   * advances while no event matches the filter. It is empty until the server has sent a first one.
   */
  get cursor(): string {
    return this.#cursor;
  }

  /** True if the history has been read and the following events are live. */
  get caughtUp(): boolean {
    return this.#caughtUp;
  }

  /** True if the iteration has ended. */
  get closed(): boolean {
    return this.#end.signal.aborted;
  }

  /** End the iteration, even if a caller waits in it. */
  close(): void {
    this.#end.abort();
  }

  /** Return the next event. */
  next(): Promise<IteratorResult<Event, void>> {
    return this.#events.next();
  }

  /** End the iteration, as a loop does that is left. */
  async return(): Promise<IteratorResult<Event, void>> {
    this.close();
    return this.#events.return();
  }

  /** Return this iterator. */
  [Symbol.asyncIterator](): this {
    return this;
  }

  async *#iterate(): AsyncGenerator<Event, void, undefined> {
    try {
      while (!this.closed) {
        this.#checkGiven();
        for (const event of await this.#read()) {
          if (this.#isOver()) {
            return;
          }
          this.#cursor = event.cursor;
          yield event;
        }
      }
    } finally {
      this.close();
    }
  }

  /** A method, since the type checker does not see that close() may run while a caller has the last event. */
  #isOver(): boolean {
    return this.closed;
  }

  #checkGiven(): void {
    if (this.#given?.aborted) {
      throw cancelled(this.#given);
    }
  }

  /** Read one message. If the stream breaks, wait; the next read opens it again. */
  async #read(): Promise<Event[]> {
    let failure = streamEnded();
    try {
      this.#messages ??= this.#open();
      const answer = await this.#messages.next();
      if (!answer.done) {
        const before = this.#cursor;
        const events = this.#accept(answer.value);
        if (events.length > 0 || this.#cursor !== before) {
          this.#retry.progress();
        } else {
          this.#retry.heard();
        }
        return events;
      }
      if (!this.#request.follow) {
        this.close();
      }
    } catch (thrown) {
      const error = ledgerError(thrown);
      if (error instanceof LocalError && !this.closed) {
        throw error;
      }
      failure = error instanceof LocalError ? failure : error;
    }
    this.#messages = undefined;
    if (!this.closed) {
      this.#checkGiven();
      await pause(this.#retry.pause(failure), this.#signal);
    }
    return [];
  }

  #open(): AsyncIterator<StreamTimelineResponse, unknown> {
    this.#caughtUp = false;
    const request = copyOf(StreamTimelineRequestSchema, this.#request);
    // Until a first cursor is known, the stream begins at the original start.
    if (this.#cursor) {
      request.start = { case: "afterCursor", value: this.#cursor };
    }
    return this.#stub.streamTimeline(request, { signal: this.#signal })[Symbol.asyncIterator]();
  }

  /** Take a message. It is read only after all events of the last one were returned, so no cursor is too early. */
  #accept({ message }: StreamTimelineResponse): Event[] {
    switch (message.case) {
      case "events":
        return message.value.events;
      case "checkpoint":
        this.#cursor = message.value.cursor || this.#cursor;
        break;
      case "caughtUp":
        this.#cursor = message.value.cursor || this.#cursor;
        this.#caughtUp = true;
        break;
      case "fellBehind":
        this.#cursor = message.value.cursor || this.#cursor;
        this.#caughtUp = false;
        break;
      case undefined: // a message of a newer server
        break;
    }
    return [];
  }
}
