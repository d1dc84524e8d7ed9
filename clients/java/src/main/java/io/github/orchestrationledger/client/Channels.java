package io.github.orchestrationledger.client;

import io.grpc.Grpc;
import io.grpc.ManagedChannel;
import io.grpc.ManagedChannelBuilder;
import io.grpc.ManagedChannelRegistry;
import java.util.concurrent.TimeUnit;

/** Channels with the ledger's limits, keepalive and retries. */
final class Channels {
  private static final int MAX_MESSAGE = 16 * 1024 * 1024;

  /**
   * The details of an error are in the trailers, and the default of 8 KiB holds only few
   * violations.
   */
  private static final int MAX_METADATA = 256 * 1024;

  private Channels() {}

  /** Open a channel, which connects with the first call. */
  static ManagedChannel open(Settings settings) {
    AddressListResolver.register();
    String target = target(settings.address());
    try {
      return configure(Grpc.newChannelBuilder(target, settings.credentials()), settings).build();
    } catch (ManagedChannelRegistry.ProviderNotFoundException error) {
      // Its message has what is wrong with a certificate or a key.
      throw new IllegalArgumentException("no channel can be opened: " + error.getMessage(), error);
    }
  }

  /** Set what every channel of the ledger needs. */
  static ManagedChannelBuilder<?> configure(ManagedChannelBuilder<?> channel, Settings settings) {
    channel
        .defaultServiceConfig(ServiceConfig.map())
        .disableServiceConfigLookUp()
        .enableRetry()
        .maxRetryAttempts(ServiceConfig.ATTEMPTS)
        // A call that does not fit into its buffer is not retried: the default is 1 MiB.
        .perRpcBufferLimit(MAX_MESSAGE + 1024L)
        .retryBufferSize(16L * MAX_MESSAGE)
        .maxInboundMessageSize(MAX_MESSAGE)
        .maxInboundMetadataSize(MAX_METADATA)
        // A lost peer is detected within 40 seconds, even on a silent stream.
        .keepAliveTime(30, TimeUnit.SECONDS)
        .keepAliveTimeout(10, TimeUnit.SECONDS)
        .keepAliveWithoutCalls(true);
    if (!settings.encrypted() || Addresses.onLoopback(settings.address())) {
      // Else a proxy of the JVM would get even calls to this machine, including the token.
      channel.proxyDetector(address -> null);
    }
    return channel;
  }

  /**
   * Return the target of an address. gRPC cannot read an address of IPv6 behind "dns:///" or
   * without brackets.
   */
  private static String target(String address) {
    String target = address;
    if (address.startsWith("dns:///")) {
      target = address.substring("dns:///".length());
    } else if (address.startsWith("dns:") && !address.startsWith("dns://")) {
      target = address.substring("dns:".length());
    }
    return Addresses.isBareIpv6(target) ? "[" + target + "]" : target;
  }
}
