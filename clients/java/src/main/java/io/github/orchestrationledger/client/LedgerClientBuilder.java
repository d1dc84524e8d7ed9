package io.github.orchestrationledger.client;

import io.grpc.ChannelCredentials;
import io.grpc.ManagedChannel;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Map;
import java.util.Objects;
import java.util.function.Function;

/**
 * The settings of a client. What is not set comes from the variables of the environment: {@code
 * ORCHESTRATION_ADDRESS}, {@code ORCHESTRATION_TOKEN}, {@code ORCHESTRATION_PROJECT}, {@code
 * ORCHESTRATION_CA_FILE}, {@code ORCHESTRATION_CLIENT_CERT} and {@code ORCHESTRATION_CLIENT_KEY}.
 */
public final class LedgerClientBuilder {
  String address;
  String token;
  String project;
  String authorities;
  String certificate;
  String key;
  String agent = "";
  String session = "";
  String correlationId = "";
  Duration timeout = Duration.ofSeconds(10);
  ChannelCredentials credentials;
  Map<String, String> environment = System.getenv();

  /** Opens the channel; tests replace it. */
  Function<Settings, ManagedChannel> channels = Channels::open;

  LedgerClientBuilder() {}

  /**
   * Set the address of the server.
   *
   * @param address HOST:PORT, a name of gRPC such as {@code dns:///ledger:20051}, or a list such as
   *     {@code ipv4:10.0.0.1:20051,10.0.0.2:20051}; 127.0.0.1:20051 if nothing sets it
   * @return this builder
   */
  public LedgerClientBuilder address(String address) {
    this.address = Objects.requireNonNull(address);
    return this;
  }

  /**
   * Set the key or the JWT. White space around it is removed, such as the newline of a file.
   *
   * @param token the key or the JWT; empty for none
   * @return this builder
   */
  public LedgerClientBuilder token(String token) {
    this.token = Objects.requireNonNull(token);
    return this;
  }

  /**
   * Set the project.
   *
   * @param project the project; if nothing sets it, the server uses the project of the key
   * @return this builder
   */
  public LedgerClientBuilder project(String project) {
    this.project = Objects.requireNonNull(project);
    return this;
  }

  /**
   * Set the name of the calling agent.
   *
   * @param agent the name
   * @return this builder
   */
  public LedgerClientBuilder agent(String agent) {
    this.agent = Objects.requireNonNull(agent).strip();
    return this;
  }

  /**
   * Set the session to which the calls belong.
   *
   * @param session the key of the session
   * @return this builder
   */
  public LedgerClientBuilder session(String session) {
    this.session = Objects.requireNonNull(session);
    return this;
  }

  /**
   * Set an id that the events of all calls carry.
   *
   * @param correlationId the id
   * @return this builder
   */
  public LedgerClientBuilder correlationId(String correlationId) {
    this.correlationId = Objects.requireNonNull(correlationId).strip();
    return this;
  }

  /**
   * Use TLS with the authorities of a PEM file.
   *
   * @param file the file, or "system" for the authorities of the Java runtime
   * @return this builder
   */
  public LedgerClientBuilder caFile(String file) {
    this.authorities = Objects.requireNonNull(file);
    return this;
  }

  /**
   * Set the client's own certificate and its key, for mutual TLS.
   *
   * @param certificate a PEM file with the certificate and the chain
   * @param key a PEM file with the private key
   * @return this builder
   */
  public LedgerClientBuilder certificate(Path certificate, Path key) {
    this.certificate = certificate.toString();
    this.key = key.toString();
    return this;
  }

  /**
   * Set the credentials of the channel, in place of the files.
   *
   * @param credentials the credentials, such as those of {@link io.grpc.TlsChannelCredentials}
   * @return this builder
   */
  public LedgerClientBuilder credentials(ChannelCredentials credentials) {
    this.credentials = Objects.requireNonNull(credentials);
    return this;
  }

  /**
   * Set the deadline of unary calls that have none of their own: 10 seconds by default.
   *
   * @param timeout the time, more than zero
   * @return this builder
   */
  public LedgerClientBuilder timeout(Duration timeout) {
    if (timeout.isZero() || timeout.isNegative()) {
      throw new IllegalArgumentException("timeout must be more than zero, not " + timeout);
    }
    this.timeout = timeout;
    return this;
  }

  /**
   * Open the client, which connects with the first call.
   *
   * @return the client
   * @throws IllegalArgumentException if a setting cannot be right, or the token would go to another
   *     machine unencrypted
   */
  public LedgerClient build() {
    Settings settings = Settings.of(this);
    return new LedgerClient(settings, channels.apply(settings));
  }
}
