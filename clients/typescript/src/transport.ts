import { randomUUID } from "node:crypto";
import {
  clone,
  create,
  type DescMessage,
  type DescMethodStreaming,
  type DescMethodUnary,
  isMessage,
  type MessageInitShape,
  type MessageShape,
} from "@bufbuild/protobuf";
import type { ContextValues, StreamResponse, Transport, UnaryResponse } from "@connectrpc/connect";
import { now, pause } from "./clock.js";
import { cancelled, ledgerError, LocalError } from "./errors.js";
import { callBackoff, MAX_ATTEMPTS, mayRetryCall } from "./retry.js";

/** The longest deadline that the header of gRPC has digits for, in milliseconds: 27 hours. */
const LONGEST_DEADLINE_MS = 99_999_999;

/** Headers in any form that Headers takes. */
export type HeadersInput = ConstructorParameters<typeof Headers>[0];

/** What a {@link LedgerTransport} adds to each call. */
export interface CallSettings {
  /** The headers that a call gets unless it sets them. */
  readonly metadata: ReadonlyMap<string, string>;
  /** The deadline of unary calls without their own, in milliseconds; 0 for no deadline. */
  readonly timeoutMs: number;
}

/** Return a new id for one mutation and its retries. */
export function newRequestId(): string {
  return randomUUID().replaceAll("-", "");
}

/** Return a copy of a request, as a message. */
export function copyOf<T extends DescMessage>(schema: T, request: MessageInitShape<T>): MessageShape<T> {
  return isMessage(request, schema) ? clone(schema, request) : create(schema, request);
}

/** Throw a LocalError if a text has half of a surrogate pair, which UTF-8 would silently replace by U+FFFD. */
export function checkText(value: unknown, path = ""): void {
  if (typeof value === "string") {
    if (/\p{Surrogate}/u.test(value)) {
      throw new LocalError("INVALID", `${path} has half of a surrogate pair, which is no text`);
    }
  } else if (typeof value === "object" && value !== null && !ArrayBuffer.isView(value)) {
    for (const [key, inner] of Object.entries(value)) {
      checkText(key, `a name in ${path}`);
      checkText(inner, path ? `${path}.${key}` : key);
    }
  }
}

/** Return the request as a message, with a new request_id if it has a field for one that is empty. */
export function withRequestId<T extends DescMessage>(
  schema: T,
  request: MessageInitShape<T>,
): MessageShape<T> {
  const message = copyOf(schema, request);
  checkText(message);
  const field = schema.fields.find((each) => each.name === "request_id");
  if (field) {
    const fields = message as Record<string, unknown>;
    fields[field.localName] ||= newRequestId();
  }
  return message;
}

/**
 * A transport that adds the caller's metadata to every call, and a deadline, a request_id and retries to unary calls.
 *
 * Values that the call itself sets take precedence. Messages of a stream stay unchanged, because the caller matches
 * answers by their ids. Streams are not retried: follow and emitAll resume them.
 */
export class LedgerTransport implements Transport {
  readonly #inner: Transport;
  readonly #settings: CallSettings;
  readonly #end = new AbortController();

  /** Create a transport above one of connect. */
  constructor(inner: Transport, settings: CallSettings) {
    this.#inner = inner;
    this.#settings = settings;
  }

  /** Refuse further calls and attempts. */
  close(): void {
    this.#end.abort();
  }

  /**
   * A signal that is aborted when the client is closed.
   *
   * @internal
   */
  get closed(): AbortSignal {
    return this.#end.signal;
  }

  /** Throw a LocalError if the client is closed. */
  checkOpen(): void {
    if (this.closed.aborted) {
      throw new LocalError("CLOSED", "the client is closed");
    }
  }

  /** Call a unary method. */
  async unary<I extends DescMessage, O extends DescMessage>(
    method: DescMethodUnary<I, O>,
    signal: AbortSignal | undefined,
    timeoutMs: number | undefined,
    header: HeadersInput,
    input: MessageInitShape<I>,
    contextValues?: ContextValues,
  ): Promise<UnaryResponse<I, O>> {
    this.checkOpen();
    // One message for all attempts, since a retry must have the same request_id and the same body. The caller may change
    // its own meanwhile.
    const message = withRequestId(method.input, input) as MessageInitShape<I>;
    const headers = this.#headers(header);
    const timeout = timeoutMs ?? this.#settings.timeoutMs;
    const end = timeout > 0 ? now() + timeout : Infinity;
    for (let attempt = 1; ; attempt += 1) {
      const left = end === Infinity ? 0 : Math.min(LONGEST_DEADLINE_MS, Math.max(1, Math.ceil(end - now())));
      try {
        return await this.#inner.unary(method, signal, left, headers, message, contextValues);
      } catch (thrown) {
        const error = ledgerError(thrown);
        if (signal?.aborted) {
          throw error;
        }
        const delay = this.#delay(error, attempt, end);
        if (delay === undefined) {
          throw error;
        }
        await pause(delay, signal);
        if (signal?.aborted || this.closed.aborted) {
          throw cancelled(signal);
        }
      }
    }
  }

  /** Call a method with a stream of requests or responses. */
  async stream<I extends DescMessage, O extends DescMessage>(
    method: DescMethodStreaming<I, O>,
    signal: AbortSignal | undefined,
    timeoutMs: number | undefined,
    header: HeadersInput,
    input: AsyncIterable<MessageInitShape<I>>,
    contextValues?: ContextValues,
  ): Promise<StreamResponse<I, O>> {
    this.checkOpen();
    try {
      const headers = this.#headers(header);
      const limit = timeoutMs && Math.min(LONGEST_DEADLINE_MS, timeoutMs);
      const response = await this.#inner.stream(method, signal, limit, headers, input, contextValues);
      return { ...response, message: withLedgerErrors(response.message) };
    } catch (thrown) {
      throw ledgerError(thrown);
    }
  }

  /** Return the milliseconds before the next attempt; undefined if the error is final. */
  #delay(error: ReturnType<typeof ledgerError>, attempt: number, end: number): number | undefined {
    if (this.closed.aborted || attempt === MAX_ATTEMPTS || !mayRetryCall(error)) {
      return undefined;
    }
    const delay = callBackoff(attempt, error);
    // The error says more than DEADLINE_EXCEEDED would.
    return now() + delay < end ? delay : undefined;
  }

  #headers(given: HeadersInput): Headers {
    const headers = new Headers(given);
    for (const [key, value] of this.#settings.metadata) {
      if (!headers.has(key)) {
        headers.set(key, value);
      }
    }
    return headers;
  }
}

async function* withLedgerErrors<T>(messages: AsyncIterable<T>): AsyncGenerator<T> {
  try {
    yield* messages;
  } catch (thrown) {
    throw ledgerError(thrown);
  }
}
