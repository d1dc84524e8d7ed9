/** Return the milliseconds of a clock that only goes forward. */
export function now(): number {
  return performance.now();
}

/** The longest delay of a timer of node, which fires at once for a longer one. */
export const LONGEST_TIMER_MS = 0x7fff_ffff;

/** Wait for a time, or until the signal is aborted. It does not throw then: look at the signal. */
export async function pause(ms: number, signal?: AbortSignal): Promise<void> {
  if (signal?.aborted) {
    return;
  }
  await new Promise<void>((resolve) => {
    const end = (): void => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", end);
      resolve();
    };
    const timer = setTimeout(end, Math.min(ms, LONGEST_TIMER_MS));
    signal?.addEventListener("abort", end);
  });
}

/** Return one signal for all of the given ones. */
export function anySignal(...signals: (AbortSignal | undefined)[]): AbortSignal {
  return AbortSignal.any(signals.filter((signal) => signal !== undefined));
}
