package io.github.orchestrationledger.client;

import com.google.protobuf.Any;
import com.google.protobuf.InvalidProtocolBufferException;
import com.google.rpc.BadRequest;
import com.google.rpc.ErrorInfo;
import com.google.rpc.ResourceInfo;
import com.google.rpc.RetryInfo;
import io.grpc.Metadata;
import io.grpc.Status;
import io.grpc.StatusException;
import io.grpc.StatusRuntimeException;
import io.grpc.protobuf.StatusProto;
import java.time.Duration;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;

/**
 * An error of the ledger or of the transport, with the details that the server sent.
 *
 * <p>It is a {@link StatusRuntimeException} like the errors of the stubs, so one {@code catch}
 * catches both; {@link #of} returns the details of an error of a stub.
 */
public class LedgerException extends StatusRuntimeException {
  private static final long serialVersionUID = 1L;

  private final transient Details details;

  LedgerException(Details details, Throwable cause) {
    super(details.status().withCause(cause), details.trailers());
    this.details = details;
  }

  /**
   * Return the error of a stub with its details.
   *
   * @param error an error that a stub threw
   * @return the error with its details; the same one if it has them
   */
  public static LedgerException of(Throwable error) {
    if (error instanceof LedgerException known) {
      return known;
    }
    Metadata trailers = null;
    if (error instanceof StatusRuntimeException runtime) {
      trailers = runtime.getTrailers();
    } else if (error instanceof StatusException checked) {
      trailers = checked.getTrailers();
    }
    return of(Status.fromThrowable(error), trailers, error);
  }

  static LedgerException of(Status status, Metadata trailers, Throwable cause) {
    return new LedgerException(Details.of(status, trailers), cause);
  }

  /**
   * Return the status code.
   *
   * @return the code
   */
  public Status.Code code() {
    return getStatus().getCode();
  }

  /**
   * Return the stable reason, for programs, such as {@code STALE_REVISION}.
   *
   * @return the reason; empty if the error came from the transport
   */
  public String reason() {
    return details.reason();
  }

  /**
   * Return the message for people.
   *
   * @return the message without the code and the reason
   */
  public String description() {
    String found = getStatus().getDescription();
    return found == null ? "" : found;
  }

  /**
   * Return the values that belong to the reason, such as {@code current_revision}.
   *
   * @return the values by name
   */
  public Map<String, String> metadata() {
    return details.metadata();
  }

  /**
   * Return what is wrong with the request.
   *
   * @return descriptions by the path of the field
   */
  public Map<String, String> violations() {
    return details.violations();
  }

  /**
   * Return the resource that the error is about.
   *
   * @return the resource, if the server named one
   */
  public Optional<Resource> resource() {
    return Optional.ofNullable(details.resource());
  }

  /**
   * Return the time after which to retry.
   *
   * @return the time, if the server sent one
   */
  public Optional<Duration> retryDelay() {
    return Optional.ofNullable(details.retryDelay());
  }

  @Override
  public String getMessage() {
    String reason = details.reason().isEmpty() ? "" : " [" + details.reason() + "]";
    return code() + reason + ": " + description();
  }

  /**
   * The resource that an error is about.
   *
   * @param type the kind of the resource, such as {@code task}
   * @param name its code
   */
  public record Resource(String type, String name) {}

  /** The details of an error. */
  record Details(
      Status status,
      Metadata trailers,
      String reason,
      Map<String, String> metadata,
      Map<String, String> violations,
      Resource resource,
      Duration retryDelay) {
    /** Return details without any that the server sent. */
    static Details of(Status status, String reason, Map<String, String> metadata) {
      return new Details(status, null, reason, metadata, Map.of(), null, null);
    }

    static Details of(Status status, Metadata trailers) {
      String reason = "";
      Map<String, String> metadata = Map.of();
      Map<String, String> violations = new TreeMap<>();
      Resource resource = null;
      Duration retryDelay = null;
      for (Any packed : packed(status, trailers)) {
        try {
          if (packed.is(ErrorInfo.class)) {
            ErrorInfo info = packed.unpack(ErrorInfo.class);
            reason = info.getReason();
            metadata = Collections.unmodifiableMap(new TreeMap<>(info.getMetadataMap()));
          } else if (packed.is(BadRequest.class)) {
            packed
                .unpack(BadRequest.class)
                .getFieldViolationsList()
                .forEach(each -> violations.put(each.getField(), each.getDescription()));
          } else if (packed.is(ResourceInfo.class)) {
            ResourceInfo info = packed.unpack(ResourceInfo.class);
            resource = new Resource(info.getResourceType(), info.getResourceName());
          } else if (packed.is(RetryInfo.class)) {
            retryDelay = Times.duration(packed.unpack(RetryInfo.class).getRetryDelay());
          }
        } catch (InvalidProtocolBufferException error) {
          // A detail that cannot be read is left out: the code and the message are of more use than
          // an error of ours.
          continue;
        }
      }
      return new Details(
          status,
          trailers,
          reason,
          metadata,
          Collections.unmodifiableMap(violations),
          resource,
          retryDelay);
    }

    private static List<Any> packed(Status status, Metadata trailers) {
      if (trailers == null) {
        return List.of();
      }
      try {
        com.google.rpc.Status found = StatusProto.fromStatusAndTrailers(status, trailers);
        return found == null ? List.of() : found.getDetailsList();
      } catch (IllegalArgumentException error) {
        return List.of(); // A proxy rewrote the code.
      }
    }
  }
}
