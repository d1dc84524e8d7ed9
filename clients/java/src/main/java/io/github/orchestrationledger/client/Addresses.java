package io.github.orchestrationledger.client;

import java.util.Set;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** Checks of addresses of gRPC. Names other than localhost are not resolved. */
final class Addresses {
  static final String DEFAULT = "127.0.0.1:20051";

  /** Schemes whose names are not of the form HOST:PORT. */
  private static final Set<String> OPAQUE = Set.of("unix", "xds");

  private static final Pattern SCHEME =
      Pattern.compile("([A-Za-z][A-Za-z0-9+.-]*)://.*", Pattern.DOTALL);
  private static final Pattern OPAQUE_SCHEME = Pattern.compile("([a-z]+):[^0-9].*", Pattern.DOTALL);
  private static final Pattern PLAIN =
      Pattern.compile("(?:dns:(?://[^/]*/)?)?(.*)", Pattern.DOTALL);
  private static final Pattern LIST = Pattern.compile("ipv[46]:(?://[^/]*/)?(.*)", Pattern.DOTALL);
  private static final Pattern LABEL =
      Pattern.compile("[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?");
  private static final Pattern IPV4 =
      Pattern.compile("(?:(?:25[0-5]|2[0-4]\\d|1?\\d?\\d)(?:\\.(?!$)|$)){4}");
  private static final Pattern IPV6 =
      Pattern.compile("[0-9A-Fa-f]*:[0-9A-Fa-f]*:[0-9A-Fa-f:.]*(?:%.+)?");

  private Addresses() {}

  /**
   * Return the address if a server may exist at it.
   *
   * @throws IllegalArgumentException if it cannot be valid, because gRPC reports that as
   *     UNAVAILABLE, which is retried
   */
  static String check(String address) {
    String fault = faultOf(address);
    if (!fault.isEmpty()) {
      // A URL may contain a password.
      String shown = address.replaceAll("(?s)//.*@", "//…@");
      throw new IllegalArgumentException(
          "'" + shown + "' is no address: " + fault + "; use HOST:PORT, such as " + DEFAULT);
    }
    return address;
  }

  /** Return true if the address is on this machine. */
  static boolean onLoopback(String address) {
    if (address.startsWith("unix:")) {
      return true;
    }
    for (String one : targets(address)) {
      if (!isLoopback(hostOf(one))) {
        return false;
      }
    }
    return true;
  }

  /** Return the addresses that a list of addresses names, or the one of another form. */
  static String[] targets(String address) {
    Matcher list = LIST.matcher(address);
    if (list.matches()) {
      return list.group(1).split(",", -1);
    }
    Matcher plain = PLAIN.matcher(address);
    return new String[] {plain.matches() ? plain.group(1) : address};
  }

  /** Return true for an address of IPv6 without brackets and port. */
  static boolean isBareIpv6(String address) {
    return IPV6.matcher(address).matches();
  }

  private static String faultOf(String address) {
    Matcher scheme = SCHEME.matcher(address);
    if (scheme.matches() && !known(scheme.group(1))) {
      return "leave out "
          + scheme.group(1)
          + ":// (for TLS, name the authorities in "
          + Settings.CA
          + ")";
    }
    if (address.chars().anyMatch(Character::isWhitespace)) {
      return "it contains a space";
    }
    Matcher opaque = OPAQUE_SCHEME.matcher(address);
    if (opaque.matches() && OPAQUE.contains(opaque.group(1))) {
      return "";
    }
    for (String one : targets(address)) {
      String fault = faultOfTarget(one);
      if (!fault.isEmpty()) {
        return fault;
      }
    }
    return "";
  }

  private static boolean known(String scheme) {
    return OPAQUE.contains(scheme)
        || scheme.equals("dns")
        || scheme.equals("ipv4")
        || scheme.equals("ipv6");
  }

  private static String faultOfTarget(String target) {
    if (isLiteral(bare(target))) {
      return "";
    }
    int colon = target.lastIndexOf(':');
    if (colon >= 0 && !isPort(target.substring(colon + 1))) {
      return "'" + target.substring(colon + 1) + "' is no port";
    }
    String host = colon < 0 ? target : target.substring(0, colon);
    if (host.startsWith("[") && host.endsWith("]") && IPV6.matcher(bare(host)).matches()) {
      return "";
    }
    return isName(host) ? "" : "'" + host + "' is no name of a host";
  }

  private static boolean isPort(String text) {
    return text.matches("[0-9]{1,6}")
        && Integer.parseInt(text) > 0
        && Integer.parseInt(text) < 65_536;
  }

  private static boolean isName(String host) {
    String name = host.endsWith(".") ? host.substring(0, host.length() - 1) : host;
    if (name.length() > 253) {
      return false;
    }
    for (String label : name.split("\\.", -1)) {
      if (!LABEL.matcher(label).matches()) {
        return false;
      }
    }
    return true;
  }

  private static boolean isLiteral(String host) {
    return IPV4.matcher(host).matches() || IPV6.matcher(host).matches();
  }

  private static String bare(String host) {
    return host.startsWith("[") && host.endsWith("]") ? host.substring(1, host.length() - 1) : host;
  }

  /** Return the host of HOST:PORT, HOST, or an address of IPv6 with or without brackets. */
  private static String hostOf(String target) {
    if (isLiteral(bare(target))) {
      return bare(target);
    }
    int colon = target.lastIndexOf(':');
    return bare(colon < 0 ? target : target.substring(0, colon));
  }

  private static boolean isLoopback(String host) {
    if (IPV4.matcher(host).matches()) {
      return host.startsWith("127.");
    }
    if (IPV6.matcher(host).matches()) {
      return host.matches("(?:0{0,4}:){2,7}0{0,3}1") || host.matches("(?i)::ffff:127\\..*");
    }
    return host.equals("localhost");
  }
}
