package io.github.orchestrationledger.client;

import io.grpc.EquivalentAddressGroup;
import io.grpc.NameResolver;
import io.grpc.NameResolverProvider;
import io.grpc.NameResolverRegistry;
import io.grpc.StatusOr;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.SocketAddress;
import java.net.URI;
import java.net.UnknownHostException;
import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.Set;

/**
 * Resolves lists of addresses such as ipv4:127.0.0.1:5001,127.0.0.1:5002, as gRPC does in other
 * languages.
 */
final class AddressListResolver extends NameResolver {
  private final List<EquivalentAddressGroup> addresses;

  private AddressListResolver(List<EquivalentAddressGroup> addresses) {
    this.addresses = addresses;
  }

  /** Make the schemes ipv4 and ipv6 known to gRPC. */
  static void register() {
    Registration.done();
  }

  @Override
  public String getServiceAuthority() {
    InetSocketAddress first = (InetSocketAddress) addresses.get(0).getAddresses().get(0);
    String host = first.getAddress().getHostAddress();
    return (host.contains(":") ? "[" + host + "]" : host) + ":" + first.getPort();
  }

  @Override
  public void start(Listener2 listener) {
    listener.onResult(
        ResolutionResult.newBuilder().setAddressesOrError(StatusOr.fromValue(addresses)).build());
  }

  @Override
  public void shutdown() {}

  private static AddressListResolver of(String address, int defaultPort)
      throws UnknownHostException {
    List<EquivalentAddressGroup> found = new ArrayList<>();
    for (String one : Addresses.targets(address)) {
      int colon = one.lastIndexOf(':');
      boolean port = colon >= 0 && (one.indexOf(':') == colon || one.startsWith("["));
      String host = port ? one.substring(0, colon) : one;
      int number = port ? Integer.parseInt(one.substring(colon + 1)) : defaultPort;
      found.add(
          new EquivalentAddressGroup(new InetSocketAddress(InetAddress.getByName(host), number)));
    }
    return new AddressListResolver(found);
  }

  private static final class Provider extends NameResolverProvider {
    private final String scheme;

    Provider(String scheme) {
      this.scheme = scheme;
    }

    @Override
    public NameResolver newNameResolver(URI target, Args args) {
      try {
        return AddressListResolver.of(target.toString(), args.getDefaultPort());
      } catch (UnknownHostException error) {
        throw new IllegalArgumentException(target + " has an address that cannot be read", error);
      }
    }

    @Override
    public String getDefaultScheme() {
      return scheme;
    }

    @Override
    public Collection<Class<? extends SocketAddress>> getProducedSocketAddressTypes() {
      return Set.of(InetSocketAddress.class);
    }

    @Override
    protected boolean isAvailable() {
      return true;
    }

    /** Below that of dns, so that an address without a scheme stays a name. */
    @Override
    protected int priority() {
      return 2;
    }
  }

  /** Registers once in a process. */
  private static final class Registration {
    static {
      NameResolverRegistry.getDefaultRegistry().register(new Provider("ipv4"));
      NameResolverRegistry.getDefaultRegistry().register(new Provider("ipv6"));
    }

    private Registration() {}

    static void done() {}
  }
}
