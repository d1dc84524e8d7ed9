import { Code } from "@connectrpc/connect";
import { now } from "./clock.js";
import { codeName, LedgerError, LocalError } from "./errors.js";

/** The most attempts of a unary call, as in clients/service_config.json. */
export const MAX_ATTEMPTS = 5;

const CALL_INITIAL_MS = 50;
const CALL_LONGEST_MS = 1_000;
const STREAM_INITIAL_MS = 50;
const STREAM_LONGEST_MS = 5_000;
const TRANSIENT = new Set([Code.Unavailable, Code.Canceled, Code.DeadlineExceeded, Code.Aborted]);
// A connection reset causes one of these, and so does a permanent fault of the server.
const AMBIGUOUS = new Set([Code.Internal, Code.Unknown]);
const AMBIGUOUS_ATTEMPTS = 5;

/**
 * Return true if a unary call that ended with an error is sent again. A server that stops gracefully ends its pending
 * calls with CANCELLED. To repeat such a call is safe only because every mutation carries a request_id.
 */
export function mayRetryCall(error: LedgerError | LocalError): error is LedgerError {
  return error instanceof LedgerError && (error.code === Code.Unavailable || error.code === Code.Canceled);
}

/** Return the milliseconds to wait after an attempt of a unary call, counted from 1. */
export function callBackoff(attempt: number, error: LedgerError): number {
  const ceiling = Math.min(CALL_LONGEST_MS, CALL_INITIAL_MS * 2 ** (attempt - 1));
  return Math.max(ceiling * (0.8 + 0.4 * Math.random()), error.retryDelayMs ?? 0);
}

/** A backoff of a stream with jitter, from 0.05 to 5 seconds, that restarts at each progress. */
export class StreamRetry {
  readonly #timeoutMs: number;
  readonly #warn: (message: string) => void;
  #attempts = 0;
  #ambiguous = 0;
  #brokenSince: number | undefined;
  #heardSince: number | undefined;

  /** Create a backoff. After `timeoutMs` without progress it gives up; Infinity retries for ever. */
  constructor(timeoutMs: number, warn: (message: string) => void) {
    this.#timeoutMs = timeoutMs;
    this.#warn = warn;
  }

  /** Note that a message brought the caller on. */
  progress(): void {
    this.#attempts = 0;
    this.#ambiguous = 0;
    this.#brokenSince = undefined;
  }

  /**
   * Note that a message arrived that brought nothing new. It is progress if the stream lives on: a server may greet each
   * stream, and end it at once.
   */
  heard(): void {
    this.#heardSince ??= now();
  }

  /**
   * Return the milliseconds to wait before the next attempt. Throws the error if another attempt would not help or the
   * time has passed. `retryable` says that the server declared the error retryable.
   */
  pause(error: LedgerError, retryable = false): number {
    const time = now();
    if (this.#heardSince !== undefined && time - this.#heardSince >= STREAM_LONGEST_MS) {
      this.progress();
    }
    this.#heardSince = undefined;
    this.#brokenSince ??= time;
    this.#attempts += 1;
    this.#ambiguous += AMBIGUOUS.has(error.code) ? 1 : 0;
    if (!(retryable || this.#maySucceed(error)) || time - this.#brokenSince >= this.#timeoutMs) {
      throw error;
    }
    const ceiling = Math.min(STREAM_LONGEST_MS, STREAM_INITIAL_MS * 2 ** Math.min(this.#attempts - 1, 10));
    const delay = Math.max(ceiling * (0.5 + 0.5 * Math.random()), error.retryDelayMs ?? 0);
    // This package sets the deadline, to leave a stream that hangs.
    if (error.code !== Code.DeadlineExceeded) {
      this.#warn(
        `stream broke: ${codeName(error.code)}: ${error.rawMessage}; again in ${Math.ceil(delay)} ms`,
      );
    }
    return delay;
  }

  #maySucceed(error: LedgerError): boolean {
    if (error.code === Code.ResourceExhausted) {
      // Without a delay it comes from the transport and means that a message is too large.
      return error.retryDelayMs !== undefined;
    }
    if (AMBIGUOUS.has(error.code)) {
      return this.#ambiguous < AMBIGUOUS_ATTEMPTS;
    }
    return TRANSIENT.has(error.code);
  }
}
