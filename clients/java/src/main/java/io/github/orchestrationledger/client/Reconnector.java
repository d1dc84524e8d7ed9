package io.github.orchestrationledger.client;

import io.grpc.ConnectivityState;
import io.grpc.ManagedChannel;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.ScheduledThreadPoolExecutor;
import java.util.concurrent.ThreadPoolExecutor;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;

/**
 * Connects again soon after a connection was refused. The transport's own pause begins at a second
 * and grows to two minutes, which is longer than a restart takes, and gRPC has no setting for it.
 */
final class Reconnector implements AutoCloseable {
  private static final long FIRST_MS = 100;
  private static final long LONGEST_MS = 2_000;

  private final ManagedChannel channel;
  private final ScheduledExecutorService timer;
  private final AtomicBoolean trying = new AtomicBoolean();

  Reconnector(ManagedChannel channel) {
    this.channel = channel;
    ScheduledThreadPoolExecutor executor =
        new ScheduledThreadPoolExecutor(
            1,
            task -> {
              Thread thread = new Thread(task, "orchestration-reconnect");
              thread.setDaemon(true);
              return thread;
            });
    // No thread while the connection is good.
    executor.setKeepAliveTime(10, TimeUnit.SECONDS);
    executor.allowCoreThreadTimeOut(true);
    // The last state may be announced while the client is closed.
    executor.setRejectedExecutionHandler(new ThreadPoolExecutor.DiscardPolicy());
    timer = executor;
    watch(channel.getState(false));
  }

  private void watch(ConnectivityState state) {
    if (state == ConnectivityState.SHUTDOWN) {
      return;
    }
    if (state == ConnectivityState.TRANSIENT_FAILURE) {
      begin();
    }
    channel.notifyWhenStateChanged(state, () -> watch(channel.getState(false)));
  }

  private void begin() {
    if (trying.compareAndSet(false, true)) {
      schedule(FIRST_MS);
    }
  }

  private void schedule(long delay) {
    timer.schedule(() -> connect(delay), delay, TimeUnit.MILLISECONDS);
  }

  private void connect(long delay) {
    if (failing()) {
      channel.resetConnectBackoff();
      schedule(Math.min(2 * delay, LONGEST_MS));
      return;
    }
    trying.set(false);
    // It may have failed again before that was known.
    if (failing()) {
      begin();
    }
  }

  private boolean failing() {
    return channel.getState(false) == ConnectivityState.TRANSIENT_FAILURE;
  }

  @Override
  public void close() {
    timer.shutdownNow();
  }
}
