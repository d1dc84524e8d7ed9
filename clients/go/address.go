package orchestration

import (
	"net"
	"net/netip"
	"regexp"
	"strconv"
	"strings"

	"google.golang.org/grpc/resolver"
	"google.golang.org/grpc/resolver/manual"
)

var (
	label      = regexp.MustCompile(`^[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?$`)
	urlScheme  = regexp.MustCompile(`^([A-Za-z][A-Za-z0-9+.-]*)://`)
	nameScheme = regexp.MustCompile(`^([a-z0-9-]+):`)
	dnsTarget  = regexp.MustCompile(`^dns:(?://[^/]*/)?`)
	password   = regexp.MustCompile(`//.*@`)
)

// An address is a valid address of the ledger.
type address struct {
	text string
	// hosts are the addresses of text, which has no scheme or one of dns, ipv4 and ipv6; empty for others.
	hosts []string
	// scheme is ipv4 or ipv6 if the hosts are to be used as they are.
	scheme string
}

// parseAddress returns the address of a text, or an error if no server can exist there: gRPC would report that as
// UNAVAILABLE, which is retried.
func parseAddress(text string) (address, error) {
	parsed := address{text: text}
	fault := parsed.parse()
	if fault != "" {
		shown := password.ReplaceAllString(text, "//…@") // A URL may contain a password.
		return address{}, invalid("%q is no address: %s; use HOST:PORT, such as %s", shown, fault, DefaultAddress)
	}
	return parsed, nil
}

// parse fills the address, and returns what is wrong with it.
func (a *address) parse() string {
	if found := urlScheme.FindStringSubmatch(a.text); found != nil && !resolved(found[1]) {
		return "leave out " + found[0] + " (for TLS, name the authorities in " + CAVariable + ")"
	}
	if strings.ContainsAny(a.text, " \t\r\n\v\f") {
		return "it contains a space"
	}
	rest := a.text
	if found := nameScheme.FindStringSubmatch(a.text); found != nil {
		switch scheme := found[1]; {
		case scheme == "ipv4" || scheme == "ipv6":
			a.scheme, rest = scheme, a.text[len(found[0]):]
		case scheme == "dns":
			rest = a.text[len(dnsTarget.FindString(a.text)):]
		case resolver.Get(scheme) != nil:
			return "" // The resolver knows what a valid name is.
		}
	}
	a.hosts = []string{rest}
	if a.scheme != "" {
		a.hosts = strings.Split(rest, ",")
	}
	for _, host := range a.hosts {
		if fault := hostFault(host); fault != "" {
			return fault
		}
	}
	return ""
}

// resolved returns true if gRPC has a resolver for the scheme of a URL.
func resolved(scheme string) bool {
	return scheme == "ipv4" || scheme == "ipv6" || resolver.Get(scheme) != nil
}

// hostFault returns what is wrong with a host that may have a port.
func hostFault(target string) string {
	if isIP(target) {
		return ""
	}
	host, port := splitPort(target)
	if port != nil {
		number, err := strconv.ParseUint(*port, 10, 16)
		if err != nil || number == 0 {
			return strconv.Quote(*port) + " is no port"
		}
	}
	if isIP(host) {
		return ""
	}
	for _, part := range strings.Split(strings.TrimSuffix(host, "."), ".") {
		if len(host) > 253 || !label.MatchString(part) {
			return strconv.Quote(host) + " is no name of a host"
		}
	}
	return ""
}

// splitPort splits a target at its last colon. port is nil if there is none.
func splitPort(target string) (host string, port *string) {
	if at := strings.LastIndexByte(target, ':'); at >= 0 {
		after := target[at+1:]
		return target[:at], &after
	}
	return target, nil
}

func isIP(host string) bool {
	_, ok := parseIP(host)
	return ok
}

// parseIP returns an address of the Internet protocol, which may be in brackets.
func parseIP(host string) (netip.Addr, bool) {
	if strings.HasPrefix(host, "[") && strings.HasSuffix(host, "]") {
		host = host[1 : len(host)-1]
	}
	ip, err := netip.ParseAddr(host)
	return ip, err == nil
}

// onLoopback returns true if the address is on this machine. Names other than localhost are not resolved.
func (a address) onLoopback() bool {
	if strings.HasPrefix(a.text, "unix:") || strings.HasPrefix(a.text, "unix-abstract:") {
		return true
	}
	for _, target := range a.hosts {
		ip, whole := parseIP(target)
		if !whole {
			host, _ := splitPort(target)
			found, ok := parseIP(host)
			if !ok && host != "localhost" {
				return false
			}
			if !ok {
				continue
			}
			ip = found
		}
		if !ip.IsLoopback() {
			return false
		}
	}
	return len(a.hosts) > 0
}

// target returns the name that gRPC resolves, and a resolver for it if gRPC has none.
func (a address) target() (string, resolver.Builder) {
	if a.scheme == "" {
		if len(a.hosts) > 0 && !strings.HasPrefix(a.text, "dns:") {
			return "dns:///" + a.text, nil
		}
		return a.text, nil
	}
	// gRPC for Go has no resolver for these schemes, which the other languages have.
	built := manual.NewBuilderWithScheme(a.scheme)
	var state resolver.State
	for _, host := range a.hosts {
		name, _ := splitPort(host)
		at := resolver.Address{Addr: withPort(host), ServerName: strings.Trim(name, "[]")}
		state.Endpoints = append(state.Endpoints, resolver.Endpoint{Addresses: []resolver.Address{at}})
	}
	built.InitialState(state)
	return a.scheme + ":///" + a.hosts[0], built
}

// withPort adds the default port to an address that has none, as the resolver of names does.
func withPort(host string) string {
	if ip, ok := parseIP(host); ok {
		return net.JoinHostPort(ip.String(), "443")
	}
	if _, port := splitPort(host); port == nil {
		return net.JoinHostPort(host, "443")
	}
	return host
}
