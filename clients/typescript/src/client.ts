import type { DescMessage, DescMethodUnary, MessageInitShape, MessageShape } from "@bufbuild/protobuf";
import type { CallOptions } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { claim, type ClaimInput, claims, type ClaimsOptions } from "./claims.js";
import { Connection } from "./connection.js";
import { emitAll, type EmitOptions, type EmitTotals, type EventInput } from "./emitting.js";
import type { StreamTimelineRequestSchema } from "./gen/orchestration/v1/event_pb.js";
import { LeaseKeeper } from "./lease-keeper.js";
import { type ItemOf, pages } from "./paging.js";
import { type ClientOptions, resolveSettings } from "./settings.js";
import { Stubs } from "./stubs.js";
import { type FollowOptions, Timeline } from "./timeline.js";
import { LedgerTransport } from "./transport.js";
import type { Work, Workplace } from "./work.js";

const MAX_MESSAGE_BYTES = 16 * 1024 * 1024;

/**
 * A connection to the ledger: the generated stubs of all services, and the few things that stubs cannot do.
 *
 * A unary call carries the caller's metadata, a deadline unless the call sets one, and a request_id if a mutation has
 * none, so that a call that is retried takes effect once. Every call throws {@link LedgerError}, or {@link LocalError} if
 * the client refuses by itself. Close it at the end: until then it pings its server.
 */
export class Client extends Stubs {
  /** The transport of the stubs, for calls by descriptors of methods. */
  readonly transport: LedgerTransport;
  readonly #connection: Connection;
  readonly #place: Workplace;
  readonly #timelines = new Set<WeakRef<Timeline>>();

  /** Create a client, which connects with the first call. Throws LocalError if an option cannot be right. */
  constructor(options: ClientOptions = {}) {
    const settings = resolveSettings(options, process.env);
    const connection = new Connection(settings);
    const inner = createGrpcTransport({
      baseUrl: connection.authority,
      sessionManager: connection,
      readMaxBytes: MAX_MESSAGE_BYTES,
      writeMaxBytes: MAX_MESSAGE_BYTES,
      interceptors: options.interceptors ?? [],
    });
    const transport = new LedgerTransport(inner, settings);
    super(transport);
    this.transport = transport;
    this.#connection = connection;
    const warn =
      options.warn ??
      ((message: string): void => {
        console.warn(`orchestration: ${message}`);
      });
    const keeper = new LeaseKeeper(this.coordination, warn);
    this.#place = { stubs: this, keeper, sessionKey: options.session ?? "", warn };
  }

  /**
   * Yield the items of every page of a list, such as `client.list(TaskService.method.listTasks, { sprintCode: "S1" })`.
   *
   * The items are those of the response's one repeated field of messages. The page_size of the request is the size of a
   * page, not of the list.
   */
  list<I extends DescMessage, O extends DescMessage>(
    method: DescMethodUnary<I, O>,
    request: MessageInitShape<I>,
    options: CallOptions = {},
  ): AsyncGenerator<ItemOf<MessageShape<O>>, void, undefined> {
    return pages(this.transport, method, request, options);
  }

  /**
   * Follow the timeline from a start, or from its beginning, and return each event once.
   *
   * If the stream breaks, the timeline reconnects and goes on after the last event, with a warning. Without `follow` in
   * the request it waits for new events; `follow: false` ends it with the history.
   */
  follow(
    request: MessageInitShape<typeof StreamTimelineRequestSchema> = {},
    options: FollowOptions = {},
  ): Timeline {
    this.transport.checkOpen();
    const timeline = new Timeline(this.events, request, options, this.#place.warn);
    for (const each of this.#timelines) {
      if (each.deref()?.closed !== false) {
        this.#timelines.delete(each);
      }
    }
    this.#timelines.add(new WeakRef(timeline));
    return timeline;
  }

  /**
   * Store all events over one stream, in messages of up to `batch` events and 2 MiB.
   *
   * At most 4 messages wait for an answer, so memory use does not grow with the number of events. If the stream breaks,
   * unanswered messages are sent again under the same request_id. Throws LedgerError if the server refuses a message;
   * `metadata.first_event` is the index of its first event in `events`. The events of other messages may be stored then,
   * so give events a dedupKey if you may run the whole again.
   */
  async emitAll(
    events: Iterable<EventInput> | AsyncIterable<EventInput>,
    options: EmitOptions = {},
  ): Promise<EmitTotals> {
    this.transport.checkOpen();
    return emitAll(this.events, events, options, this.#place.warn, this.transport.closed);
  }

  /**
   * Claim a task, or the next ready ones, and keep their leases by heartbeats. Returns no work if none was ready in time.
   *
   * The deadline of the call is the wait of the request and 10 seconds.
   */
  async claim(request: ClaimInput = {}, options: { signal?: AbortSignal | undefined } = {}): Promise<Work[]> {
    return claim(this.#place, request, options.signal);
  }

  /**
   * Iterate over ready tasks: claim one, work on it, and claim the next, until none is ready.
   *
   * A task that this loop gave back is not claimed again by the loop: other agents may have it. Work that has not ended
   * when the loop goes on or is left is given back, with a warning; {@link Work.run} ends it as failed if it throws.
   */
  claims(request: ClaimInput = {}, options: ClaimsOptions = {}): AsyncGenerator<Work, void, undefined> {
    return claims(this.#place, this.transport, request, options);
  }

  /** End the timelines and heartbeats, and close the connection. Pending calls fail with CANCELLED. */
  close(): void {
    this.transport.close();
    for (const timeline of this.#timelines) {
      timeline.deref()?.close();
    }
    this.#place.keeper.close();
    this.#connection.close();
  }

  /** Close the client at the end of a block with `using`. */
  [Symbol.dispose](): void {
    this.close();
  }
}
